local csv = require("ccpool.cli.csv")
local json = require("ccpool.cli.json")
local text_table = require("ccpool.cli.table")

describe("json", function()
  it("encodes scalars, arrays and objects in their order", function()
    local record = json.object("b", 1, "a", { "x", true }, "none", nil, "f", 0.5,
      "o", json.object("n", json.raw("18446744073709551615")))
    assert.are.equal(
      '{"b":1,"a":["x",true],"f":0.500000,"o":{"n":18446744073709551615}}', record.text)
  end)

  it("escapes what JSON does not allow in strings, invalid UTF-8 included", function()
    assert.are.equal('"\\"\\\\\\n\\u0001é"', json.encode('"\\\n\1é'))
    assert.are.equal('"\\u00ff\\u0000"', json.encode("\xff\0"))
  end)

  it("has no numbers that are none", function()
    assert.are.equal("[null,null]", json.encode({ 0 / 0, math.huge }))
  end)
end)

describe("csv.line", function()
  it("quotes where needed", function()
    assert.are.equal('22,open,"a,""b""\n",true\n', csv.line({ 22, "open", 'a,"b"\n', true }))
  end)
end)

describe("table.format", function()
  it("aligns columns and leaves no blanks behind", function()
    assert.are.equal("name     n\nüb      10\nlonger   2\n",
      text_table.format({ { "name", "n" }, { "üb", "10" }, { "longer", "2" } }, "lr"))
    assert.are.equal("a   b\naa\n", text_table.format({ { "a", "b" }, { "aa", "" } }))
  end)
end)
