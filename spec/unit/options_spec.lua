local options = require "ccpool.options"

local KNOWN = {
  n = "positive integer",
  size = "positive integer or \"auto\"",
  wait = "boolean",
  name = "string",
  timeout = "seconds",
  list = "array",
  f = "function",
  target = "function or \"module.function\"",
  on_error = "\"raise\" or \"return\"",
}

local GOOD = {
  n = { 1, math.maxinteger },
  size = { 1, "auto" },
  wait = { true, false },
  name = { "", "x" },
  timeout = { 0, -1, 0.5, math.huge, -math.huge },
  list = { {}, { 1 } },
  f = { print },
  target = { print, "math.sqrt" },
  on_error = { "raise", "return" },
}

local BAD = {
  n = { 0, -1, 0.0, 1.5, "1", true, 0 / 0, math.huge },
  size = { 0, -1, 1.5, "1", "AUTO", true },
  wait = { 0, "yes", {} },
  name = { 1, true, {} },
  timeout = { 0 / 0, "1", true, {} },
  list = { 1, "x", true, { n = "x" }, { n = 1.5 } },
  f = { "f", 1, {} },
  target = { 1, true, {} },
  on_error = { "ignore", 1, true },
}

local function check(given) return options.check("knead", given, KNOWN, 1) end

describe("options.check", function()
  it("gives the table back, and an empty one for nil", function()
    local given = { n = 1 }
    assert.equal(given, check(given))
    assert.same({}, check(nil))
  end)

  it("takes what is right", function()
    for name, values in pairs(GOOD) do
      for _, value in ipairs(values) do assert.equal(value, check{ [name] = value }[name]) end
    end
  end)

  it("takes a float for the integer that it stands for, as Lua's functions do", function()
    local given = { n = 2.0, size = 3.0, timeout = 1.0, name = "x" }
    local got = check(given)
    assert.equal("integer", math.type(got.n))
    assert.equal("integer", math.type(got.size))
    assert.equal("float", math.type(got.timeout))
    assert.equal("x", got.name)
    assert.equal("float", math.type(given.n))
  end)

  it("refuses what is wrong, by name, with what was expected and got", function()
    for name, values in pairs(BAD) do
      for _, value in ipairs(values) do
        local ok, err = pcall(check, { [name] = value })
        assert.is_false(ok, name)
        assert.matches("'" .. name .. "' to 'knead'", err, 1, true)
        assert.matches(KNOWN[name] .. " expected", err, 1, true)
        local type_name = type(value)
        local got = (type_name == "number" or type_name == "string") and tostring(value)
          or type_name
        assert.matches("got " .. got, err, 1, true)
      end
    end
  end)

  it("refuses what it does not know, by name", function()
    local ok, err = pcall(check, { yeast = 1 })
    assert.is_false(ok)
    assert.matches("'yeast' to 'knead' (unknown option)", err, 1, true)
    ok, err = pcall(check, { [1] = "n" })
    assert.is_false(ok)
    assert.matches("'1' to 'knead' (unknown option)", err, 1, true)
  end)

  it("refuses what is no table", function()
    for _, value in ipairs{ 1, "n", true, print } do
      local ok, err = pcall(check, value)
      assert.is_false(ok)
      assert.matches("'knead'", err, 1, true)
      assert.matches("table of options expected, got " .. type(value), err, 1, true)
    end
  end)

  it("blames the level that it was told", function()
    local function api(given)
      options.check("knead", given, KNOWN, 2)
      return true
    end
    local line
    local ok, err = pcall(function()
      line = debug.getinfo(1, "l").currentline + 1
      local _ = api{ yeast = 1 }
    end)
    assert.is_false(ok)
    assert.matches("options_spec.lua:" .. line .. ":", err, 1, true)
  end)
end)
