#!/bin/sh
# Prints the exports that make `require "ccpool"`, what it depends on and bin/ccpool
# usable. Usage: eval "$(tools/env.sh [build-folder])"
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
build=${1:-build}

# The version of Lua that LUA names.
case ${LUA:-} in *5.5*) version=5.5 ;; *) version=5.4 ;; esac
suffix=$(echo "_$version" | tr . _)
hidden() { # variable
  eval "printf %s \"\${$1$suffix+set}\""
}

quote() {
  printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
}

# The name, its value, and whether the versioned variable, which would hide the
# plain one, is set.
print_export() {
  printf 'export %s=%s\n' "$1" "$(quote "$2")"
  if [ -n "$3" ]; then
    printf 'export %s%s=%s\n' "$1" "$suffix" "$(quote "$2")"
  fi
}

rocks="$root/.deps/share/lua/$version"
print_export LUA_PATH \
  "$root/lua/?.lua;$root/lua/?/init.lua;$rocks/?.lua;$rocks/?/init.lua;;" "$(hidden LUA_PATH)"
print_export LUA_CPATH "$root/$build/?.so;$root/.deps/lib/lua/$version/?.so;;" \
  "$(hidden LUA_CPATH)"
printf 'export PATH=%s:"$PATH"\n' "$(quote "$root/bin")"
