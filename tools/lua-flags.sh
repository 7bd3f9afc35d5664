#!/bin/sh
# Prints the compiler's (--cflags) or the linker's (--libs) flags for the Lua that LUA
# names (lua5.5, or else 5.4); nothing and a failure where its headers are not found.
# LUA_INCDIR, if set, is the folder of the headers; the library is then looked for beside it.
case ${LUA:-} in
  *5.5*) minor=5 ;;
  *) minor=4 ;;
esac
next=$((minor + 1))
if [ -n "${LUA_INCDIR:-}" ]; then
  [ "$1" = --libs ] || { echo "-I$LUA_INCDIR"; exit 0; }
  prefix=${LUA_INCDIR%/include*}
  for folder in "$prefix/lib" "$prefix"/lib/*-linux-*; do
    for lib in lua5.$minor lua-5.$minor lua5$minor lua; do
      if [ -f "$folder/lib$lib.so" ] || [ -f "$folder/lib$lib.a" ]; then
        echo "-L$folder -l$lib -Wl,-rpath,$folder -lm -ldl"
        exit 0
      fi
    done
  done
fi
for package in lua5.$minor lua-5.$minor lua5$minor lua; do
  if pkg-config --exists "$package >= 5.$minor" "$package < 5.$next" 2>/dev/null; then
    flags=$(pkg-config "$1" "$package")
    # The default search path needs no -I; say it all the same: empty means absent.
    [ -n "$flags" ] || flags=-I/usr/include
    echo "$flags"
    exit 0
  fi
done
for prefix in /usr /usr/local /opt/local /opt/homebrew; do
  for folder in include/lua5.$minor include/lua/5.$minor include/lua5$minor include; do
    if grep -qs "LUA_VERSION_\(NUM\|MINOR_N\)[[:space:]]*\(50\)\{0,1\}$minor" "$prefix/$folder/lua.h"; then
      case $1 in
        --libs) for lib in lua5.$minor lua-5.$minor lua5$minor lua; do
          [ -z "$(find $prefix/lib -name "lib$lib.*" 2>/dev/null)" ] || { echo "-l$lib"; exit 0; }
        done ;;
        *) echo "-I$prefix/$folder"; exit 0 ;;
      esac
    fi
  done
done
exit 1
