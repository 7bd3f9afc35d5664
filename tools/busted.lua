-- Starts busted in the interpreter that runs this file; the installed `busted`
-- command may belong to another Lua version.
require("busted.runner")({ standalone = false })
