/*
** Tests of codec/codec.h: tables of every shape, as test_codec.c does. One
** thread.
*/
#include "codec_cases.h"

static const testcase cases[] = {
    {"carries arrays, holes and every kind of key",
     "local function same(a, b)\n"
     "  for k, v in pairs(a) do assert(b[k] == v, k) end\n"
     "  for k, v in pairs(b) do assert(a[k] == v, k) end end\n"
     "same({}, echo{}) same({1, 2, 3}, echo{1, 2, 3})\n"
     "same({1, nil, 3}, echo{1, nil, 3})\n"
     "same({nil, nil, nil, nil, nil, nil, 7}, echo{nil, nil, nil, nil, nil, "
     "nil, 7})\n"
     "same({1, 'a', 2.5, true, false, 6}, echo{1, 'a', 2.5, true, false, 6})\n"
     "local t = {[0] = 1, [-1] = 2, [1.5] = 3, [true] = 4, [false] = 5,\n"
     "  ['1'] = 6, [math.huge] = 7, [math.mininteger] = 8, 9, 10}\n"
     "same(t, echo(t))\n"
     "local rev = {} for i = 600, 1, -1 do rev[i] = i end same(rev, "
     "echo(rev))\n"
     "local sparse = {} for i = 0, 50 do sparse[1 << i] = i end\n"
     "same(sparse, echo(sparse))\n"
     "local reused = {} for i = 1, 500 do reused['k' .. i] = i end\n"
     "for i = 1, 499 do reused['k' .. i] = nil end\n"
     "for i = 1, 200 do reused[i] = i end same(reused, echo(reused))\n"
     "local mix = {} for i = 1, 300 do mix[i] = i end mix['301'] = 'x'\n"
     "mix['302'] = 'y' same(mix, echo(mix))"},

    {"packs runs of numbers",
     "local t = {} for i = 1, 1000 do t[i] = i end\n"
     "assert(#pack(t) < 2100)\n"
     "for _, w in ipairs{1, 100, 1000, 1 << 20, 1 << 40, -1 << 50} do\n"
     "  local a, f, m = {}, {}, {}\n"
     "  for i = 1, 777 do a[i] = i * w f[i] = i * w + 0.5\n"
     "    m[i] = i % 9 < 5 and i * w or i % 9 == 7 and {i} or i * 0.5 end\n"
     "  local b, g, n = echo(a, f, m)\n"
     "  for i = 1, 777 do assert(a[i] == b[i] and f[i] == g[i])\n"
     "    assert(math.type(b[i]) == 'integer')\n"
     "    if i % 9 == 7 then assert(n[i][1] == i)\n"
     "    else assert(m[i] == n[i] and math.type(m[i]) == math.type(n[i])) "
     "end\n"
     "  end end"},

    {"keeps shared references and cycles",
     "local s = {} local a, b = echo({s, s}, s)\n"
     "assert(a[1] == a[2] and a[1] == b)\n"
     "local c = {} c.me = c c[c] = c local d = echo(c)\n"
     "assert(d.me == d and d[d] == d)\n"
     "local x, y = {}, {} x.y = y y.x = x\n"
     "local p, q = echo(x, y) assert(p.y == q and q.x == p)\n"
     "local k = {v = 1} local e = echo{[k] = k, k = k}\n"
     "assert(e[e.k] == e.k and e.k.v == 1)"},

    {"nests as deep as memory allows",
     "local function deep(n, wrap)\n"
     "  local t = {'core'} for _ = 1, n do t = wrap(t) end return t end\n"
     "for _, n in ipairs{1, 38, 39, 40, 41, 42, 100, 200000} do\n"
     "  local t = echo(deep(n, function(t) return {t} end))\n"
     "  for _ = 1, n do t = t[1] end assert(t[1] == 'core')\n"
     "  t = echo(deep(n, function(t) return {n = t, z = 1} end))\n"
     "  for _ = 1, n do assert(t.z == 1) t = t.n end assert(t[1] == 'core')\n"
     "end\n"
     "for _, n in ipairs{1, 39, 40, 41, 80, 3000} do\n"
     "  local t = echo(deep(n, function(t) return {[t] = n} end))\n"
     "  for _ = 1, n do local k, v = next(t) assert(v == n) t = k end\n"
     "  t = echo(deep(n, function(t) return setmetatable({}, t) end))\n"
     "  for _ = 1, n do t = getmetatable(t) end assert(t[1] == 'core')\n"
     "  local f = echo(deep(n, function(t) return function() return t end "
     "end))\n"
     "  for _ = 1, n do f = f() end assert(f[1] == 'core')\n"
     "end"},

    {"goes on behind what is more than data",
     "local C = {} register('C', C, function(o) return o.v end,\n"
     "  function(v) return setmetatable({v = v}, C) end)\n"
     "local more = {function() return 1 end, setmetatable({v = 1}, C),\n"
     "  setmetatable({1, x = 2}, {__index = {}}), print, string}\n"
     "local function kind(v) local m = getmetatable(v)\n"
     "  return type(v) .. (m == C and 'C' or m and 'm' or '') end\n"
     "local function like(a, b)\n"
     "  if kind(a) ~= kind(b) and not (a == string) then return false end\n"
     "  if type(a) ~= 'table' or a == string then\n"
     "    return type(a) == 'function' or a == b or a == string end\n"
     "  for k, v in pairs(a) do\n"
     "    if type(k) ~= 'table' and not like(v, b[k]) then return false end\n"
     "  end\n"
     "  local n, m = 0, 0\n"
     "  for k in pairs(a) do n = n + 1 end for k in pairs(b) do m = m + 1 end\n"
     "  return n == m end\n"
     "local data = {{}, 1, 2.5, 'a', ('b'):rep(60), true, false, {1, 2},\n"
     "  {x = {y = 1}}}\n"
     "local function inner(v, i)\n"
     "  local t = {1, 2, k = 'k', [2.5] = 1, [true] = 2, [('k'):rep(50)] = 3}\n"
     "  if i % 2 == 0 then t[3] = v else t.v = v end\n"
     "  if i % 3 == 0 then t[#t + 1] = 's' t[#t + 1] = nil end\n"
     "  if i % 5 == 0 then t[{}] = 1 t[{2}] = v t.z = 1 end\n"
     "  return {t, n = t, {t, 7}} end\n"
     "for i = 1, 300 do local v = more[i % #more + 1]\n"
     "  local t = {}\n"
     "  for j = 1, 1 + i % 7 do t[#t + 1] = data[(i + j) % #data + 1] end\n"
     "  for j = 1, i % 4 do t['k' .. j] = data[(i * j) % #data + 1] end\n"
     "  t[1 + i % 6] = inner(v, i) t['k' .. i % 3] = inner(v, i + 1)\n"
     "  if i % 7 == 0 then t[{v}] = v end if i % 2 == 0 then t.w = v end\n"
     "  assert(like(t, echo(t)), i) end\n"
     "local deep = print for i = 1, 100 do deep = {deep, i, z = {i}} end\n"
     "local r = echo(deep) for i = 100, 1, -1 do\n"
     "  assert(r[2] == i and r.z[1] == i) r = r[1] end assert(r == print)"},

    {"bears tables that change while they are written",
     "local C, t, how = {}, nil, 0\n"
     "local changes = {\n"
     "  function() for i = 1, 400 do t[i] = nil end end,\n"
     "  function() for k in pairs(t) do t[k] = nil end t.x = 1 end,\n"
     "  function() for i = 1, 400 do t['n' .. i] = i end end,\n"
     "  function() for i = 1, 400 do t[i] = i end end,\n"
     "  function() for i = 1, 400 do t[i] = nil t['m' .. i] = nil end\n"
     "    for i = 1, 99 do t[i * 1000] = i end end}\n"
     "register('C', C, function(o) changes[how]() return 1 end,\n"
     "  function() return 'loaded' end)\n"
     "local o = setmetatable({}, C)\n"
     "for i = 1, #changes do for at = 0, 40, 5 do for deep = 0, 1 do\n"
     "  how, t = i, {} local inside = deep == 1 and {o, 1} or o\n"
     "  for j = 1, 20 do t[j] = j == at and inside or j % 3 == 0 and 's' or j\n"
     "    t['m' .. j] = j == at - 20 and inside or {j} end\n"
     "  pcall(echo, t) pcall(echo, {t, {t}}) end end end"},
};

int main(void) {
  if (LUA_VERSION_NUM == 504)
    report("knows how tables lie in memory", "5.4",
           __real_ccp_raw_known() ? NULL : "not as in raw.h");
  return run_cases(cases, sizeof cases / sizeof *cases);
}
