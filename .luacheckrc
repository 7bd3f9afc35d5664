std = "lua54"
max_line_length = 100
max_cyclomatic_complexity = 12
codes = true
cache = "build/luacheck.cache"

files["spec"] = { std = "+busted" }
files["rockspec"] = { std = "rockspec" }
files[".busted"] = { std = "lua54" }
