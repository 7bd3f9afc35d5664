/*
** Tests of codec/codec.h: values from one Lua state to another, by snippets of
** Lua that fail by raising. The functions the snippets use are described in
** codec_kit.h. One thread.
**
** Size: the snippets are the greater part, one for each promise.
*/
#include "codec_cases.h"

static const testcase cases[] = {
    {"carries no value, and nils",
     "assert(select('#', echo()) == 0)\n"
     "assert(select('#', echo(nil, nil)) == 2)\n"
     "local t = table.pack(echo(nil, false, true, nil))\n"
     "assert(t.n == 4 and t[1] == nil and t[2] == false and t[3] == true)"},

    {"carries integers of every size",
     "for s = 0, 62 do for _, d in ipairs{-1, 0, 1} do\n"
     "  for _, v in ipairs{(1 << s) + d, -(1 << s) + d} do\n"
     "    local r = echo(v) assert(r == v and math.type(r) == 'integer', v)\n"
     "  end end end\n"
     "for v = -300, 300 do assert(echo(v) == v) end\n"
     "assert(echo(math.maxinteger) == math.maxinteger)\n"
     "assert(echo(math.mininteger) == math.mininteger)\n"
     "assert(#pack(111) == 2 and #pack(-16) == 2 and #pack(112) == 3)"},

    {"carries floats bit by bit",
     "local function bits(x) return string.pack('<d', x) end\n"
     "local odd = string.unpack('<d', '\\1\\2\\3\\4\\5\\6\\xf7\\x7f')\n"
     "for _, v in ipairs{0.0, -0.0, 1.5, 1e300, 5e-324, math.huge,\n"
     "    -math.huge, 0/0, -(0/0), odd, 3.0, 2^53} do\n"
     "  local r = echo(v)\n"
     "  assert(math.type(r) == 'float' and bits(r) == bits(v))\n"
     "  local t = echo{v, v, v, v, v, x = v}\n"
     "  assert(bits(t[3]) == bits(v) and bits(t.x) == bits(v))\n"
     "end"},

    {"carries strings of any bytes and length",
     "local all = {} for i = 0, 255 do all[#all + 1] = string.char(i) end\n"
     "all = table.concat(all)\n"
     "for n = 0, 300 do\n"
     "  local s = all:rep(2):sub(1, n)\n"
     "  assert(echo(s) == s and echo{s}[1] == s and echo{[s] = s}[s] == s)\n"
     "end\n"
     "local big = all:rep(20000) assert(echo(big) == big)\n"
     "local t = {} for i = 1, 1000 do t[i] = 'key' .. i % 300 end\n"
     "for _ = 1, 3 do local r = echo(t)\n"
     "  for i = 1, 1000 do assert(r[i] == t[i]) end end"},

    {"sends a short string once per message",
     "local t = {} for i = 1, 100 do t[i] = {identifier = i} end\n"
     "assert(#pack(t) < 100 * 11)\n"
     "local r = echo(t) assert(r[77].identifier == 77)"},

    {"keeps hundreds of keys apart",
     "local t = {}\n"
     "for i = 1, 400 do local r = {}\n"
     "  for j = 1, 400, 1 + i % 7 do r['k' .. j] = 'v' .. i * j % 501 end\n"
     "  t[i] = r end\n"
     "local u = echo(t)\n"
     "for i = 1, 400 do\n"
     "  for k, v in pairs(t[i]) do assert(u[i][k] == v) end\n"
     "  for k, v in pairs(u[i]) do assert(t[i][k] == v) end end"},

    {"keeps metatables by value, and their identity",
     "local mt = {__index = function(_, k) return k .. '!' end}\n"
     "local a, b = echo(setmetatable({1}, mt), setmetatable({2}, mt))\n"
     "assert(a.hey == 'hey!' and getmetatable(a) == getmetatable(b))\n"
     "assert(rawget(a, 1) == 1)\n"
     "local C = {} C.__index = C function C.get(s) return s.v end\n"
     "local o = echo(setmetatable({v = 5}, C)) assert(o:get() == 5)\n"
     "assert(getmetatable(o).__index == getmetatable(o))\n"
     "local m = {} setmetatable(m, m) local n = echo(m)\n"
     "assert(getmetatable(n) == n)"},

    {"runs no metamethod",
     "local no = function() error 'metamethod' end\n"
     "local mt = {__index = no, __newindex = no, __len = no, __pairs = no,\n"
     "  __eq = no, __call = no, __tostring = no, __metatable = false,\n"
     "  __name = 'X', __close = no, __unm = no}\n"
     "local t = setmetatable({1, 2, x = {}}, mt)\n"
     "assert(#pack(t) > 5)\n"
     "assert(refused(setmetatable({coroutine.create(print)}, mt)))"},

    {"carries weak tables whole",
     "local t = setmetatable({}, {__mode = 'kv'})\n"
     "local hold = {} for i = 1, 50 do hold[i] = {i} t[i] = hold[i] end\n"
     "local n = 0 send(t) for _ in pairs(echo(t, hold)) do n = n + 1 end\n"
     "assert(n == 50)"},

    {"carries functions with their upvalues as they are",
     "local n, t = 5, {1} local function f(x) n = n + x return n, t end\n"
     "local g = echo(f)\n"
     "assert(g(1) == 6 and g(1) == 7 and n == 5) n = 50\n"
     "assert(echo(f)(1) == 51)\n"
     "assert(echo(function() return 7 end)() == 7)\n"
     "assert(echo(function(...) return select('#', ...) end)(1, 2, 3) == 3)"},

    {"joins upvalues that functions share",
     "local n = 0\n"
     "local function inc() n = n + 1 return n end\n"
     "local function get() return n end\n"
     "local i, g = echo(inc, get) i() i() assert(g() == 2 and n == 0)\n"
     "local o = echo{inc = inc, get = get, deep = {{get}}}\n"
     "o.inc() assert(o.get() == 1 and o.deep[1][1]() == 1)\n"
     "local a, b = 1, 2\n"
     "local function x() return a, b end local function y() a, b = b, a end\n"
     "local p, q = echo(x, y) q() local u, v = p() assert(u == 2 and v == 1)"},

    {"carries recursive functions",
     "local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end\n"
     "assert(echo(fib)(15) == 610)\n"
     "local even, odd\n"
     "function even(n) if n == 0 then return true end return odd(n - 1) end\n"
     "function odd(n) if n == 0 then return false end return even(n - 1) end\n"
     "assert(echo(even)(10) and not echo(odd)(10))\n"
     "local t = {} function t.self() return t end\n"
     "local r = echo(t) assert(r.self() == r)"},

    {"gives _ENV by identity with the globals",
     "there('mark = 42')\n"
     "assert(there('return (...)()', function() return mark end) == 42)\n"
     "assert(there('return (...) == _G', _G) and echo(_G) == _G)\n"
     "assert(there('return (...)[1] == _G', {_G}))\n"
     "local f = function() return mark end\n"
     "for _ = 1, 3 do assert(there('return (...)()', f) == 42) end\n"
     "local g = load('_ENV = {mark = 7} return mark')\n"
     "for _ = 1, 3 do assert(there('return (...)()', g) == 7) end\n"
     "local h = load('return mark', 'h', 't', {mark = 8})\n"
     "for _ = 1, 3 do assert(there('return (...)()', h) == 8) end\n"
     "local e = {mark = 1} local i = load('mark = mark + 1 return mark', 'i', "
     "'t', e)\n"
     "assert(there('return (...)()', i) == 2 and i() == 2)\n"
     "local late = load 'return mark'\n"
     "assert(there('return (...)()', late) == 42)\n"
     "debug.setupvalue(late, 1, {mark = 'own'})\n"
     "assert(there('return (...)()', late) == 'own')"},

    {"keeps debug information",
     "local f = load('local a = 1\\n\\nreturn function() error(\"x\") end', "
     "'@file.lua')()\n"
     "local ok, err = pcall(echo(f)) assert(err == 'file.lua:3: x', err)\n"
     "assert(debug.getinfo(echo(f), 'S').source == '@file.lua')"},

    {"carries 255 upvalues",
     "local names, uses = {}, {}\n"
     "for i = 1, 250 do\n"
     "  names[i] = 'local v' .. i .. ' = ' .. i\n"
     "  uses[i] = 'v' .. i end\n"
     "local inner = {}\n"
     "for i = 1, 199 do inner[i] = 'v' .. i end\n"
     "local code = 'local ' .. table.concat(inner, ', ') .. ' = ... return "
     "function() local a = 0 for _, v in ipairs{' .. table.concat(inner, ', ') "
     ".. '} do a = a + v end return a end'\n"
     "local args = {} for i = 1, 199 do args[i] = i end\n"
     "local f = load(code)(table.unpack(args))\n"
     "assert(echo(f)() == 199 * 100)"},

    {"finds functions again without dumping them twice",
     "local f = function(x) return x end\n"
     "local a = pack(f, 1) local b = pack(f, 1) assert(a == b)\n"
     "local list = {}\n"
     "for i = 1, 30 do list[i] = load('return ' .. i) end\n"
     "for _ = 1, 3 do for i = 1, 30 do\n"
     "  assert(there('return (...)()', list[i]) == i) end end"},

    {"keeps nothing alive that was sent",
     "local gone = setmetatable({}, {__mode = 'k'})\n"
     "do local big = {} gone[big] = true\n"
     "  local f = function() return big end gone[f] = true\n"
     "  send(f, big) send(f, {big}) send({x = f}) end\n"
     "collectgarbage() collectgarbage() assert(next(gone) == nil)"},

    {"keeps functions apart when they are keys",
     "local t = {} for i = 1, 3 do t[i] = function() return i end end\n"
     "local u = {} for i = 1, 3 do u[t[i]] = i end\n"
     "for f, i in pairs(echo(u)) do assert(f() == i) end"},

    {"names what package.loaded holds",
     "for _, v in ipairs{print, math.sqrt, string.format, io.stdout, io.open,\n"
     "    string, math, package.loaded, package, coroutine.wrap, require,\n"
     "    setmetatable} do\n"
     "  assert(echo(v) == v and echo{v}[1] == v and echo{[v] = v}[v] == v)\n"
     "end\n"
     "assert(there('return (...) == math.sqrt', math.sqrt))\n"
     "assert(there('return (...) == io.stderr', io.stderr))\n"
     "local s = math.sqrt\n"
     "assert(there('return (...)(16)', function(x) return s(x) end) == 4)\n"
     "assert(#pack(string) < 12)"},

    {"names modules, their functions, classes and metatables",
     "local code = [[local M = {} M.Class = {} M.Class.__index = M.Class\n"
     "  function M.Class.new(v) return setmetatable({v = v}, M.Class) end\n"
     "  function M.Class:get() return self.v end\n"
     "  function M.f() return 'f' end\n"
     "  M.unique = setmetatable({}, {__name = 'unique'})\n"
     "  return setmetatable(M, {__call = function() return M end})]]\n"
     "package.preload['my.mod'] = load(code)\n"
     "there('package.preload[\"my.mod\"] = load(...)', code)\n"
     "local M = require 'my.mod'\n"
     "assert(echo(M) == M and echo(M.f) == M.f and echo(M.unique) == "
     "M.unique)\n"
     "assert(echo(getmetatable(M)) == getmetatable(M))\n"
     "local o = M.Class.new(3)\n"
     "assert(there([[local o = ... return o:get() == 3 and\n"
     "  getmetatable(o) == require'my.mod'.Class]], o))\n"
     "assert(getmetatable(echo(o)) == M.Class and echo(o).get == o.get)\n"
     "assert(there('return (...)()', M.f) == 'f')"},

    {"finds modules loaded later",
     "send{} local function late() return {f = function() end} end\n"
     "package.preload.late = late there('package.preload.late = ...', late)\n"
     "local M = require 'late' assert(echo(M) == M)\n"
     "local a = {1, 2, 3} local r, m = echo(a, M) assert(r[3] == 3 and m == "
     "M)\n"
     "package.loaded.late = nil local N = require 'late'\n"
     "assert(echo(N) == N and echo(M) ~= M)\n"
     "local f = function() return N end assert(echo(f)() == N)"},

    {"says what a name lacks on the other side",
     "package.loaded.only = {f = function() end, deep = {g = print}}\n"
     "local M = package.loaded.only\n"
     "local ok, err = pcall(there, 'return 1', M.f)\n"
     "assert(not ok and err:find(\"module 'only' not found\", 1, true), err)\n"
     "there('package.loaded.only = {}')\n"
     "ok, err = pcall(there, 'return 1', M.f)\n"
     "assert(err:find(\"cannot find 'only.f'\", 1, true), err)"},

    {"sends the main script's own globals by value",
     "function user() return 'mine' end config = {1, 2}\n"
     "assert(there('return (...)()', user) == 'mine')\n"
     "assert(there('return #...', config) == 2 and echo(config) ~= config)\n"
     "function string.mine() return 'added' end\n"
     "assert(there('return (...)()', string.mine) == 'added')"},

    {"names light userdata that modules hold",
     "package.loaded.cj = {null = light()}\n"
     "there('package.loaded.cj = {null = light()}')\n"
     "assert(echo(package.loaded.cj.null) == light())\n"
     "assert(echo{a = light()}.a == light())\n"
     "assert(refused(light(true)) == 'argument 1 (light userdata)')"},

    {"resolves \"module.function\" on the other side",
     "local function run(name)\n"
     "  return there('return unpack(...)(7)', pack_call(name)) end\n"
     "assert(run 'math.abs' == 7 and run '_G.tostring' == '7')\n"
     "there [[package.preload['a.b'] = function()\n"
     "  return {f = function(n) return n + 1 end, g = {h = math.type}, n = 5,\n"
     "    c = setmetatable({}, {__call = function() return 'c' end})} end\n"
     "  package.preload['m.whole'] = function()\n"
     "    return function() return 'w' end end]]\n"
     "assert(run 'a.b.f' == 8 and run 'a.b.g.h' == 'integer')\n"
     "assert(run 'a.b.c' == 'c' and run 'm.whole' == 'w')\n"
     "for _, bad in ipairs{'a.b.none', 'a.b.n', 'nope.f', 'f', '', '.', "
     "'a..f',\n"
     "    'math.sqrt.x', 'math.'} do\n"
     "  local ok, err = pcall(run, bad)\n"
     "  assert(not ok and err:find(\"cannot resolve '\" .. bad .. \"'\", 1, "
     "true), err)\n"
     "end\n"
     "there [[package.preload.broken = function() error 'inside' end]]\n"
     "local ok, err = pcall(run, 'broken.f')\n"
     "assert(err:find \"cannot resolve 'broken.f'\" and err:find 'inside')\n"
     "assert(unpack(pack_call(print)) == print)\n"
     "local a, b, c = unpack(pack_call('math.abs', 'math.abs', {1}))\n"
     "assert(a == math.abs and b == 'math.abs' and c[1] == 1)"},

    {"says where a value that cannot travel lies",
     "local co = coroutine.create(print) local f = io.tmpfile()\n"
     "local function is(path, ...) local r = refused(...)\n"
     "  assert(r == path, tostring(r)) end\n"
     "is('argument 1 (thread)', co)\n"
     "is('argument 3 (thread)', 1, {}, co)\n"
     "is('argument 1 (userdata: FILE*)', f)\n"
     "is('argument 1 (C function)', string.gmatch('', ''))\n"
     "is('argument 2.cfg.on_done upvalue \\'sock\\' (userdata: FILE*)', 0,\n"
     "  (function() local sock = f\n"
     "    return {cfg = {on_done = function() return sock end}} end)())\n"
     "is('argument 1[3] (thread)', {1, 2, co})\n"
     "is('argument 1[1].x[2] (thread)', {{x = {1, co}}})\n"
     "is('argument 1[\"a b\"] (thread)', {['a b'] = co})\n"
     "is('argument 1[\"end\"] (thread)', {['end'] = co})\n"
     "is('argument 1[\"a\\\\010\\\\\"\"] (thread)', {['a\\n\"'] = co})\n"
     "is('argument 1[true] (thread)', {[true] = co})\n"
     "is('argument 1[-7] (thread)', {[-7] = co})\n"
     "is('argument 1[1.5] (thread)', {[1.5] = co})\n"
     "is('argument 1[table] (thread)', {[{}] = co})\n"
     "is('argument 1 key (thread)', {[co] = 1})\n"
     "is('argument 1 key.x (thread)', {[{x = co}] = 1})\n"
     "is('argument 1 metatable.__index.f (thread)', setmetatable({},\n"
     "  {__index = {f = co}}))\n"
     "what('result', 1) is('result 2 (thread)', 1, co)\n"
     "what('argument', 0) is('function upvalue \\'co\\' (thread)',\n"
     "  function() return co end)\n"
     "is('argument 1 (thread)', print, co)\n"
     "what('error', -1) is('error.x (thread)', {x = co})"},

    {"shortens the path of what lies very deep",
     "local co = coroutine.create(print)\n"
     "for _, n in ipairs{39, 40, 41, 42, 60, 50000} do\n"
     "  local t = {last = co} for i = 1, n do t = {['k' .. i] = t} end\n"
     "  local path = refused(t)\n"
     "  assert(path:find('^argument 1%.k' .. n .. '%.k' .. n - 1 .. '%.'), "
     "path)\n"
     "  assert(path:find('%.k2%.k1%.last %(thread%)$'), path)\n"
     "  assert(#path < 500)\n"
     "  assert(n > 39 == (path:find(' ... ', 1, true) ~= nil), path)\n"
     "end\n"
     "assert(echo(1) == 1)"},

    {"leaves nothing behind when a value is refused",
     "local co = coroutine.create(print)\n"
     "for _ = 1, 100 do\n"
     "  assert(refused({1, {2, x = co}}, 'x'))\n"
     "  local t = echo{1, {2, x = 'co'}} assert(t[2].x == 'co')\n"
     "end"},

    {"carries registered userdata",
     "local mt = getmetatable(box())\n"
     "package.loaded.kit = {} there 'package.loaded.kit = {}'\n"
     "local load = 'register(\"kit.Box\", getmetatable(box()), unbox, box, "
     "\"kit\")'\n"
     "assert(refused(box(1)) == 'argument 1 (userdata: kit.Box)')\n"
     "register('kit.Box', mt, unbox, box)\n"
     "assert(refused(box(1)) ==\n"
     "  \"argument 1 type 'kit.Box' save (C function)\")\n"
     "register('kit.Box', mt, unbox, box, 'kit')\n"
     "local ok, err = pcall(there, 'return 1', box(1))\n"
     "assert(not ok and err:find \"'kit' does not register 'kit.Box'\", err)\n"
     "there(load)\n"
     "assert(unbox(echo(box(7))) == 7)\n"
     "local b = box(8) local x, y = echo({b, b}, b)\n"
     "assert(x[1] == x[2] and x[1] == y and unbox(y) == 8)\n"
     "local f = echo(function() return unbox(b) end)"},

    {"sends a type where it is not known",
     "local C = {} C.__index = C function C.twice(o) return 2 * o.v end\n"
     "register('C', C, function(o) return o.v end,\n"
     "  function(v) return setmetatable({v = v}, C) end)\n"
     "local o = setmetatable({v = 4, no = coroutine.create(print)}, C)\n"
     "assert(there('return (...):twice()', o) == 8)\n"
     "local r, s = echo({o, o, C}, C)\n"
     "assert(r[1] == r[2] and r[1].no == nil and r[1]:twice() == 8)\n"
     "assert(getmetatable(r[1]) == C and r[3] == C and s == C)\n"
     "there('first = ...', C) assert(there('return first == ...', C))\n"
     "assert(there('return getmetatable((...)) == first', o))\n"
     "local f = function() return C, getmetatable(o), o end\n"
     "assert(there('local c, m, o = (...)()\\n'\n"
     "  .. 'return c == first and m == first and getmetatable(o) == first', "
     "f))\n"
     "register('C', C, function(o) return o.v + 1 end,\n"
     "  function(v) return setmetatable({v = v + 10}, C) end)\n"
     "assert(there('return (...).v', o) == 15)"},

    {"carries registered tables and many saved values",
     "local C = {} local function save(o) return o.a, nil, {o.b}, nil end\n"
     "local function load(a, n, t, m)\n"
     "  assert(n == nil and m == nil) return setmetatable({a = a, b = t[1]}, "
     "C)\n"
     "end\n"
     "C.__index = C\n"
     "there [[C = {} register('C', C, function(o) return o.a, nil, {o.b}, nil "
     "end,\n"
     "  function(a, n, t, m) return setmetatable({a = a, b = t[1]}, C) end)]]\n"
     "register('C', C, save, load)\n"
     "local o = setmetatable({a = 1, b = setmetatable({a = 2, b = 'in'}, C)}, "
     "C)\n"
     "local r = echo(o)\n"
     "assert(getmetatable(r) == C and r.a == 1 and r.b.a == 2 and r.b.b == "
     "'in')\n"
     "assert(there('return getmetatable(...) == C', o))\n"
     "local t = {} for i = 1, 2000 do t[i] = setmetatable({a = i}, C) end\n"
     "r = echo(t) for i = 1, 2000 do assert(r[i].a == i) end"},

    {"refuses what a save refuses or leads back to itself",
     "local C = {} local back\n"
     "package.loaded.kit = {}\n"
     "register('C', C, function(o) return back(o) end, print, 'kit')\n"
     "local o = setmetatable({}, C)\n"
     "back = function() error('no way', 0) end\n"
     "assert(refused{x = o} == 'argument 1.x (no way)')\n"
     "back = function() return coroutine.create(print) end\n"
     "assert(refused(o) == 'argument 1 saved value 1 (thread)')\n"
     "back = function() return 1, {o} end\n"
     "assert(refused(o):find 'saved value 2%[1%] %(needs itself')\n"
     "package.loaded.kit, back = nil, function() return o end\n"
     "local path = refused(o) assert(path == 'argument 1 type \\'C\\' "
     "values[3]'\n"
     "  .. ' saved value 1 (needs itself to be loaded)', path)"},

    {"may encode and decode within save and load",
     "local C = {}\n"
     "local code = [[local C = ... register('C', C,\n"
     "  function(o) local s = pack({{o.v}}, 'x', {x = 'x'})\n"
     "    local t = unpack(s) collectgarbage() return s, t[1][1] end,\n"
     "  function(s, v) local t = unpack(s) assert(t[1][1] == v)\n"
     "    collectgarbage()\n"
     "    return setmetatable({v = unpack(pack(v))}, C) end)]]\n"
     "load(code)(C) there('C = {} load(...)(C)', code)\n"
     "local t = {}\n"
     "for i = 1, 60 do t[i] = setmetatable({v = 'v' .. i % 7}, C) end\n"
     "local k = {} for i = 1, 9 do k['x' .. i] = {t[i], {t[i], 'x' .. i}} end\n"
     "local r, s = echo(t, k)\n"
     "for i = 1, 60 do assert(r[i].v == t[i].v) end\n"
     "for i = 1, 9 do local e = s['x' .. i]\n"
     "  assert(e[1] == r[i] and e[2][1] == e[1] and e[2][2] == 'x' .. i) end"},

    {"loads modules that encode and decode",
     "there [[package.preload.busy = function()\n"
     "  local t = unpack(pack{{a = {1, 2, 3}}, print})\n"
     "  return {f = function() return t[1].a[3] end} end]]\n"
     "package.loaded.busy = {f = function() end}\n"
     "local t = there('return {...}', {1, {package.loaded.busy.f, x = 'x'}}, "
     "'x')\n"
     "assert(t[1][2].x == 'x' and t[2] == 'x')"},

    {"refuses bytes that no encoder wrote",
     "local function bad(s)\n"
     "  local ok, err = pcall(unpack, s)\n"
     "  assert(not ok and tostring(err):find 'malformed message', err) end\n"
     "bad '' bad '\\1' bad '\\5\\0' bad '\\xff\\xff\\xff\\xff\\x7f'\n"
     "for b = 0x80, 0xff do bad(string.char(b):rep(12)) end\n"
     "bad '\\1\\x1f' bad '\\1\\x1d' bad '\\1\\x20' bad '\\1\\x3f'\n"
     "bad '\\1\\x09\\0' bad '\\1\\x12\\0' bad '\\1\\x08\\x7f'\n"
     "bad '\\1\\x15\\1\\0\\0\\1\\x10' bad '\\1\\x15\\0\\2\\1'\n"
     "bad(('\\1\\x15\\x29') .. ('\\xff'):rep(9) .. '\\1')\n"
     "local good = pack({1, 2, {x = 'y', 'z'}, print}, function() return "
     "pack end)\n"
     "for i = 0, #good - 1 do bad(good:sub(1, i)) end"},

    {"refuses functions that are damaged or foreign",
     "inline(true)\n"
     "local good = pack(function() return 'some text' end)\n"
     "local function refuses(at, byte, text)\n"
     "  local s = good:sub(1, at - 1) .. string.char(byte) .. good:sub(at + "
     "1)\n"
     "  local ok, err = pcall(unpack, s)\n"
     "  assert(not ok and err:find('cannot load a function: ' .. text, 1, "
     "true), err) end\n"
     "local at = good:find '\\27Lua' - 12\n"
     "refuses(at, 99, 'another version of ccpool')\n"
     "refuses(at + 1, 53, 'it is bytecode of Lua 5.3, and this is Lua 5.')\n"
     "refuses(at + 2, 0x84, 'it is bytecode of a machine with other sizes')\n"
     "refuses(at + 3, 0x48, 'it is bytecode of a machine with other sizes')\n"
     "for i = at + 4, #good do\n"
     "  local c = string.char(good:byte(i) ~ 0x10)\n"
     "  local ok, err = pcall(unpack, good:sub(1, i - 1) .. c .. good:sub(i + "
     "1))\n"
     "  assert(not ok and err:find 'malformed message', err)\n"
     "end"},

    {"collects garbage at any moment",
     "collectgarbage('generational')\n"
     "for i = 1, 200 do\n"
     "  local t = {} for j = 1, i do t['k' .. j] = {j, 'v' .. j} end\n"
     "  local r = echo(t) assert(r['k' .. i][1] == i)\n"
     "end collectgarbage('incremental')\n"
     "if _VERSION == 'Lua 5.4' then collectgarbage('setpause', 1)\n"
     "else collectgarbage('param', 'pause', 1) end\n"
     "for i = 1, 200 do\n"
     "  local t = {} for j = 1, i do t['k' .. j] = {j, 'v' .. j, print} end\n"
     "  local r = echo(t) assert(r['k' .. i][1] == i)\n"
     "end"},

    {"works in coroutines and after a full store",
     "local co = coroutine.wrap(function() return echo{1, {2}} end)\n"
     "assert(co()[2][1] == 2)\n"
     "for i = 1, 200 do local f = load('return ' .. i)\n"
     "  assert(there('return (...)()', f) == i) end"},
};

int main(void) {
  return run_cases(cases, sizeof cases / sizeof *cases);
}
