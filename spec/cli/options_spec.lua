local options = require("ccpool.cli.options")

describe("options.duration", function()
  it("reads seconds, milliseconds and minutes", function()
    assert.are.equal(1, options.duration("1s"))
    assert.are.equal(1, options.duration("1"))
    assert.are.equal(0.5, options.duration("500ms"))
    assert.are.equal(0.25, options.duration(".25"))
    assert.are.equal(1.5, options.duration("1.5s"))
    assert.are.equal(120, options.duration("2m"))
  end)

  it("refuses anything else", function()
    for _, text in ipairs({ "", "0", "0ms", "-1", "s", ".", "1h", "1 s", "1e3", "nan", "999m" }) do
      local value, message = options.duration(text)
      assert.is_nil(value, text)
      assert.matches("is not a duration", message)
    end
  end)
end)

describe("options.integer", function()
  it("accepts whole numbers within the bounds only", function()
    local convert = options.integer(1, 100)
    assert.are.equal(1, convert("1"))
    assert.are.equal(100, convert("100"))
    for _, text in ipairs({ "", "0", "101", "-1", "1.0", "0x1", "1e1", ("1"):rep(50), "auto" }) do
      local value, message = convert(text)
      assert.is_nil(value, text)
      assert.matches("from 1 to 100", message)
    end
  end)

  it("accepts auto where it is asked to", function()
    local convert = options.integer_or_auto(1, 100)
    assert.are.equal("auto", convert("auto"))
    assert.are.equal(3, convert("3"))
    assert.is_nil((convert("0")))
  end)
end)
