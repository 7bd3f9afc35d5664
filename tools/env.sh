#!/bin/sh
# Prints the exports that make `require "ccpool"`, what it depends on and bin/ccpool
# usable. Usage: eval "$(tools/env.sh [build-folder])"
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
build=${1:-build}

quote() {
  printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
}

# The name, its value, and whether the versioned variable, which would hide the
# plain one, is set.
print_export() {
  printf 'export %s=%s\n' "$1" "$(quote "$2")"
  if [ -n "$3" ]; then
    printf 'export %s_5_4=%s\n' "$1" "$(quote "$2")"
  fi
}

rocks="$root/.deps/share/lua/5.4"
print_export LUA_PATH \
  "$root/lua/?.lua;$root/lua/?/init.lua;$rocks/?.lua;$rocks/?/init.lua;;" "${LUA_PATH_5_4+set}"
print_export LUA_CPATH "$root/$build/?.so;$root/.deps/lib/lua/5.4/?.so;;" "${LUA_CPATH_5_4+set}"
printf 'export PATH=%s:"$PATH"\n' "$(quote "$root/bin")"
