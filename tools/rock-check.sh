#!/bin/sh
# Builds and installs the rock for real into a scratch tree and uses it from there.
# LuaRocks is told that the dependencies are provided: no server is asked.
set -eu
cd "$(dirname -- "$0")/.."

LUA=${LUA:-lua5.4}
case $LUA in *5.5*) version=5.5 ;; *) version=5.4 ;; esac
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# LuaRocks compiles beside the sources: give it a copy.
mkdir "$scratch/source"
for path in csrc lua bin man completions rockspec LICENSE README.md; do
  [ ! -e "$path" ] || cp -R "$path" "$scratch/source/"
done
cat >"$scratch/config.lua" <<END
rocks_provided = { luaposix = "36.3-1", argparse = "0.7.1-1" }
rocks_servers = {}
END

cd "$scratch/source"
LUAROCKS_CONFIG=$scratch/config.lua luarocks --lua-version $version --tree "$scratch/tree" \
  make --no-manifest rockspec/ccpool-scm-1.rockspec >"$scratch/log" 2>&1 </dev/null || {
  cat "$scratch/log"
  exit 1
}

cd "$scratch"
unset LUA_PATH_5_4 LUA_CPATH_5_4 LUA_PATH_5_5 LUA_CPATH_5_5
deps=$root/.deps
LUA_PATH="$scratch/tree/share/lua/$version/?.lua;$scratch/tree/share/lua/$version/?/init.lua"
LUA_PATH="$LUA_PATH;$deps/share/lua/$version/?.lua;$deps/share/lua/$version/?/init.lua;;"
LUA_CPATH="$scratch/tree/lib/lua/$version/?.so;$deps/lib/lua/$version/?.so;;"
TREE=$scratch/tree
export LUA_PATH LUA_CPATH TREE
"$LUA" -e '
  for _, kind in ipairs({ "path", "cpath" }) do
    local name = kind == "path" and "ccpool" or "ccpool.core"
    local found = assert(package.searchpath(name, package[kind]))
    assert(found:find(os.getenv("TREE"), 1, true) == 1, found)
  end
  require("ccpool")
  print("rock: require \"ccpool\" works")
'
"$scratch/tree/bin/ccpool" --help >"$scratch/help"
[ -s "$scratch/help" ]
echo "rock: ccpool --help works"
for file in man/ccpool.1 man/ccpool-primes.1 man/ccpool-scan.1 man/ccpool-compare.1 \
  completions/ccpool.bash completions/_ccpool completions/ccpool.fish; do
  find "$scratch/tree" -path "*/$file" | grep -q . || { echo "rock: no $file" >&2; exit 1; }
done
echo "rock: manual pages and completions are there"
