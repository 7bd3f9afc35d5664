--- The build that heeds CCP_FAULT and CCP_FAULT_ALLOC.

local M = {}

-- A LUA_CPATH for it. The sanitizers' builds have the points too.
function M.cpath()
  local root = os.getenv("CCPOOL_ROOT") or "."
  local build = os.getenv("CCPOOL_BUILD") or root .. "/build"
  if not build:find("san", 1, true) then
    assert(os.execute("make -s -C '" .. root .. "' debug >/dev/null"))
    build = build .. "/debug"
  end
  return build .. "/?.so;" .. (os.getenv("LUA_CPATH") or ";;")
end

return M
