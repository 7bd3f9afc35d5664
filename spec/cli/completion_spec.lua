-- What the shells offer. zsh and fish are tried where they are installed.

local support = dofile("spec/cli/support.lua")
local run, shell = support.run, support.shell

local COMMANDS = { "scan", "primes", "compare" }

-- A line, and what is offered for its last word, in the order of the alphabet. An offer may
-- end before the word does, so flags are looked for by their beginning.
local OFFERED = {
  { "ccpool ", "compare primes scan" },
  { "ccpool pr", "primes" },
  { "ccpool --completion ", "bash fish zsh" },
  { "ccpool scan --backend ", "processes serial threads" },
  { "ccpool primes -q --method ", "auto c mr sieve trial" },
  { "ccpool scan -p 22 --ord", "--order" },
  { "ccpool primes -w ", "" },
  { "ccpool primes ", "" },
  { "ccpool scan -o READ", "README.md" },
  { "ccpool compare ", "all cpu io memory primes scan sleep" },
  { "ccpool compare --vs ", "" },
  { "ccpool compare --ht", "--html" },
}

local function has(name)
  return select(2, shell("command -v " .. name)) == 0
end

local function lines_of_offers()
  local words = {}
  for i, entry in ipairs(OFFERED) do
    words[i] = support.quote(entry[1])
  end
  return table.concat(words, " ")
end

local function check(out)
  local i = 0
  for offers in out:gmatch("([^\n]*)\n") do
    i = i + 1
    assert.are.same({ OFFERED[i][1], OFFERED[i][2] },
      { OFFERED[i][1], (offers:gsub("^ +", ""):gsub(" +$", "")) })
  end
  assert.are.equal(#OFFERED, i)
end

describe("completions", function()
  it("are printed by each command, the same for all", function()
    for _, name in ipairs({ "bash", "zsh", "fish" }) do
      local expected, code = run({ "--completion", name })
      assert.are.equal(0, code)
      for _, command in ipairs(COMMANDS) do
        assert.are.equal(expected, (run({ command, "--completion", name })))
      end
    end
  end)

  it("work in bash", function()
    local out, code, err = shell([[bash -c '
      source <(bin/ccpool --completion bash)
      try() {
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _ccpool; echo "${COMPREPLY[*]}"
      }
      try ccpool pr
      try ccpool primes --back
      try ccpool primes --backend ""
      try ccpool primes 7 --method ""
      try ccpool --completion ""']])
    assert.are.same({ "", 0 }, { err, code })
    assert.are.equal("primes\n--backend\nserial threads processes\nauto trial mr c sieve\n"
      .. "bash zsh fish\n", out)
  end)

  it("work in fish, if it is installed", function()
    if not has("fish") then
      pending("fish is not installed")
      return
    end
    local out, code, err = shell([[fish --no-config -c '
      source (bin/ccpool --completion fish | psub)
      for line in $argv
        echo (complete -C $line | cut -f 1 | sort)
      end' ]] .. lines_of_offers())
    assert.are.same({ "", 0 }, { err, code })
    check(out)
  end)

  it("work in zsh, if it is installed, also as a file along fpath", function()
    if not has("zsh") then
      pending("zsh is not installed")
      return
    end
    for _, how in ipairs({ "source", "fpath" }) do
      local out, code, err = shell("timeout 60 zsh -f spec/cli/complete.zsh " .. how .. " "
        .. lines_of_offers())
      assert.are.same({ "", 0 }, { err, code })
      check(out)
    end
  end)
end)
