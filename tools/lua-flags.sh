#!/bin/sh
# Prints the compiler's (--cflags) or the linker's (--libs) flags for Lua 5.4; nothing
# and a failure where its headers are not found.
for package in lua5.4 lua-5.4 lua54 lua; do
  if pkg-config --exists "$package >= 5.4" "$package < 5.5" 2>/dev/null; then
    flags=$(pkg-config "$1" "$package")
    # The default search path needs no -I; say it all the same: empty means absent.
    [ -n "$flags" ] || flags=-I/usr/include
    echo "$flags"
    exit 0
  fi
done
for prefix in /usr /usr/local /opt/local /opt/homebrew; do
  for folder in include/lua5.4 include/lua/5.4 include/lua54 include; do
    if grep -qs 'LUA_VERSION_NUM[[:space:]]*504' "$prefix/$folder/lua.h"; then
      case $1 in
        --libs) for lib in lua5.4 lua-5.4 lua54 lua; do
          [ -z "$(find $prefix/lib -name "lib$lib.*" 2>/dev/null)" ] || { echo "-l$lib"; exit 0; }
        done ;;
        *) echo "-I$prefix/$folder"; exit 0 ;;
      esac
    fi
  done
done
exit 1
