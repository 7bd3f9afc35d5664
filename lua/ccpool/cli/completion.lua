--- Writes the completions of the command line for shells.
--
-- The one for bash is argparse's. Those for zsh and fish are written here, since they can
-- tell apart what the options take: one of some words, a file, or something else, for
-- which no file names are offered.
-- @module ccpool.cli.completion

local function summary_of(element)
  return (element._description:gsub("%.%s.*", ""):gsub("%.$", ""))
end

-- What an option takes: nil, or a table with `name`, and `choices`, `is_file` or
-- `is_optional`.
local function value_of(option)
  if option._minargs == 0 then
    return nil
  end
  local name = option._argname
  name = type(name) == "table" and name[1] or name or option._aliases[#option._aliases]
  return {
    name = name:gsub("%W", ""),
    choices = option._choices,
    is_file = name == "FILE",
    is_optional = name:find("[=", 1, true) == 1,
  }
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- ---- zsh ------------------------------------------------------------------------------

local function zsh_action(value)
  if value.choices then
    return "(" .. table.concat(value.choices, " ") .. ")"
  end
  return value.is_file and "_files" or " "
end

-- An alias, with a mark that tells how its value may follow.
local function zsh_alias(alias, value)
  if not value then
    return alias
  elseif value.is_optional then
    return alias .. "=-"
  end
  return alias .. (alias:find("--", 1, true) == 1 and "=" or "+")
end

-- The argument of _arguments for an option, with all its aliases.
local function zsh_option(option)
  local value = value_of(option)
  local tail = "[" .. summary_of(option):gsub("[%]:]", "\\%0") .. "]"
  if value then
    tail = ("%s%s%s:%s"):format(tail, value.is_optional and "::" or ":", value.name,
      zsh_action(value))
  end
  local aliases = {}
  for i, alias in ipairs(option._aliases) do
    aliases[i] = zsh_alias(alias, value)
  end
  -- An option that may come again is marked; one that may not excludes its other aliases.
  local mark = option._maxcount ~= 1 and "*" or ""
  if #aliases == 1 then
    return quoted(mark .. aliases[1] .. tail)
  end
  mark = mark == "*" and mark or "(" .. table.concat(option._aliases, " ") .. ")"
  return quoted(mark) .. "{" .. table.concat(aliases, ",") .. "}" .. quoted(tail)
end

local function zsh_arguments(parser, margin)
  local lines = {}
  for _, option in ipairs(parser._options) do
    lines[#lines + 1] = margin .. zsh_option(option) .. " \\\n"
  end
  for _, argument in ipairs(parser._arguments) do
    local action = argument._choices and zsh_action({ choices = argument._choices })
      or argument._name == "host" and "_hosts" or " "
    lines[#lines + 1] = margin .. quoted("*:" .. argument._name .. ":" .. action) .. " \\\n"
  end
  return table.concat(lines)
end

local ZSH = [=[
#compdef ccpool

_ccpool_commands() {
  local -a commands=(
@COMMANDS@  )
  _describe command commands
}

_ccpool() {
  local curcontext="$curcontext" state line ret=1
  local -A opt_args
  _arguments -C -s -S \
@OPTIONS@    '1:command:_ccpool_commands' \
    '*::argument:->command' && ret=0
  [[ $state == command ]] || return ret
  curcontext="${curcontext%:*}-$words[1]:"
  case $words[1] in
@CASES@  esac
  return ret
}

# Either this file is the function, found along fpath, or it is read by a shell.
if [[ $funcstack[1] == _ccpool ]]; then
  _ccpool "$@"
else
  compdef _ccpool ccpool
fi
]=]

local function filled(template, parts)
  return (template:gsub("@(%u+)@", parts))
end

local function zsh_script(parser)
  local commands, cases = {}, {}
  for i, command in ipairs(parser._commands) do
    commands[i] = ("    %s\n"):format(quoted(command._name .. ":" .. summary_of(command)))
    cases[i] = ("    (%s)\n      _arguments -s -S \\\n%s        && ret=0\n      ;;\n"):format(
      command._name, zsh_arguments(command, "        "))
  end
  return filled(ZSH, {
    COMMANDS = table.concat(commands),
    OPTIONS = zsh_arguments(parser, "    "),
    CASES = table.concat(cases),
  })
end

-- ---- fish -----------------------------------------------------------------------------

local FISH = [[
# The command among the words before the cursor, if there is one already.
function __fish_ccpool_command
    set -l words (commandline -opc)
    for word in $words[2..]
        if contains -- $word @NAMES@
            echo $word
            return
        end
    end
end

function __fish_ccpool_in
    test "$argv" = (__fish_ccpool_command | string collect -a)
end

@LINES@]]

local function fish_quoted(text)
  return "'" .. text:gsub("[\\']", "\\%0") .. "'"
end

local function fish_value(value)
  if not value or value.is_optional then
    return ""
  elseif value.choices then
    return " -xa " .. fish_quoted(table.concat(value.choices, " "))
  end
  return value.is_file and " -rF" or " -x"
end

local function fish_option(option)
  local forms = {}
  for i, alias in ipairs(option._aliases) do
    local long = alias:match("^%-%-(.*)")
    forms[i] = long and " -l " .. long or " -s " .. alias:sub(2)
  end
  return table.concat(forms) .. fish_value(value_of(option)) .. " -d "
    .. fish_quoted(summary_of(option))
end

local function fish_script(parser)
  local lines, names = {}, {}
  local function add(where, rest)
    lines[#lines + 1] = ("complete -c ccpool -n %s%s\n"):format(
      fish_quoted(where and "__fish_ccpool_in " .. where or "__fish_ccpool_in ''"), rest)
  end
  local function add_options(from, where)
    for _, option in ipairs(from._options) do
      add(where, fish_option(option))
    end
  end
  lines[1] = "complete -c ccpool -f\n"
  add_options(parser, nil)
  for i, command in ipairs(parser._commands) do
    names[i] = command._name
    add(nil, (" -a %s -d %s"):format(command._name, fish_quoted(summary_of(command))))
  end
  for _, command in ipairs(parser._commands) do
    add_options(command, command._name)
    for _, argument in ipairs(command._arguments) do
      if argument._choices then
        add(command._name, " -a " .. fish_quoted(table.concat(argument._choices, " ")))
      elseif argument._name == "host" then
        add(command._name, " -a '(__fish_print_hostnames)'")
      end
    end
  end
  return filled(FISH, { NAMES = table.concat(names, " "), LINES = table.concat(lines) })
end

-- ---- All --------------------------------------------------------------------------------

--- The script that teaches a shell to complete.
-- @tparam table parser the argparse parser
-- @tparam string shell `bash`, `zsh` or `fish`
-- @treturn string
-- @usage completion.script(main.make_parser(), "fish")
local function script(parser, shell)
  if shell == "zsh" then
    return zsh_script(parser)
  elseif shell == "fish" then
    return fish_script(parser)
  end
  return parser:get_bash_complete()
end

return { script = script }
