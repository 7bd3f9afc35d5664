#!/bin/sh
# Prints the exports that make `require "ccpool"`, what it depends on and bin/ccpool
# usable. Usage: eval "$(tools/env.sh [build-folder])"
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1

# The version of Lua that LUA names.
case ${LUA:-} in
  *5.5*) version=5.5 build=build/lua5.5 ;;
  *) version=5.4 build=build ;;
esac
build=${1:-$build}
suffix=$(echo "_$version" | tr . _)
quote() {
  printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
}

# The variable, and what goes before the default path; what it holds now comes last.
# Where the versioned variable is set, which hides the plain one, its value counts and
# both change.
print_export() {
  eval "now=\${$1$suffix:-\${$1-}} is_versioned=\${$1$suffix+yes}"
  case $now in
    "$2"*) value=$now ;;
    *) value="$2;$(printf %s "$now" | sed 's/;;*/;/g; s/^;//')" ;;
  esac
  printf 'export %s=%s\n' "$1" "$(quote "$value")"
  [ -z "$is_versioned" ] || printf 'export %s%s=%s\n' "$1" "$suffix" "$(quote "$value")"
}

rocks="$root/.deps/share/lua/$version"
print_export LUA_PATH "$root/lua/?.lua;$root/lua/?/init.lua;$rocks/?.lua;$rocks/?/init.lua;"
print_export LUA_CPATH "$root/$build/?.so;$root/.deps/lib/lua/$version/?.so;"
printf 'export PATH=%s:"$PATH"\n' "$(quote "$root/bin")"
