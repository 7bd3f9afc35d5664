local numbers = require("ccpool.cli.numbers")

describe("numbers.parse", function()
  it("reads digits with an optional plus", function()
    assert.are.same({ 7, "7" }, { numbers.parse("7") })
    assert.are.same({ 7, "7" }, { numbers.parse("+7") })
    assert.are.same({ 0, "0" }, { numbers.parse("0") })
    assert.are.same({ 0, "0" }, { numbers.parse("000") })
    assert.are.same({ 10, "10" }, { numbers.parse("0010") })
    assert.are.same({ 1099726899285419, "1099726899285419" },
      { numbers.parse("1099726899285419") })
  end)

  it("reads numbers from 2^63 on as unsigned", function()
    assert.are.same({ math.maxinteger, "9223372036854775807" },
      { numbers.parse("9223372036854775807") })
    assert.are.same({ math.mininteger, "9223372036854775808" },
      { numbers.parse("9223372036854775808") })
    assert.are.same({ -1, "18446744073709551615" }, { numbers.parse("18446744073709551615") })
  end)

  it("refuses what is not a whole number", function()
    for _, token in ipairs({
      "", "-5", "1.5", "0x10", "1e6", "+", "++1", "1_000", "seven", " 7", "7 ", "7\0", "\xd9\xa1",
    }) do
      local value, message = numbers.parse(token)
      assert.is_nil(value, token)
      assert.are.equal("is not a whole number", message)
    end
  end)

  it("refuses numbers from 2^64 on, however long", function()
    for _, token in ipairs({
      "18446744073709551616", "20000000000000000000", "99999999999999999999",
      "100000000000000000000", ("9"):rep(100000),
    }) do
      local value, message = numbers.parse(token)
      assert.is_nil(value)
      assert.matches("too large", message)
    end
  end)
end)

describe("numbers.show", function()
  it("quotes, escapes and shortens", function()
    assert.are.equal("'1.5'", numbers.show("1.5"))
    assert.are.equal("''", numbers.show(""))
    assert.are.equal("'\\x1b[2J\\xff'", numbers.show("\27[2J\xff"))
    assert.are.equal("'" .. ("9"):rep(24) .. "...' (100000 bytes)",
      numbers.show(("9"):rep(100000)))
  end)
end)
