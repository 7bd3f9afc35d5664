#!/bin/sh
# Makes sure that what the named purposes need is there and installs what is missing.
# Usage: tools/deps.sh [build|run|test|sanitize|leaks|lint|docs|rock|fuzz|model]...
#
# Tools come from the system's packages (as root, or through sudo where it asks no
# password). The two Lua modules that ccpool itself needs, luaposix and argparse, come
# from the first of these that works:
#   1. they are there already;
#   2. LuaRocks, into the local tree .deps;
#   3. Debian's packages, unpacked into .deps (tools/fetch-deb.sh): nothing is installed.
set -u
cd "$(dirname -- "$0")/.." || exit 1

LUA=${LUA:-lua5.4}
CC=${CC:-gcc}
case $LUA in *5.5*) VERSION=5.5 ;; *) VERSION=5.4 ;; esac
ROCKS_SECONDS=90

say() {
  echo "deps: $*" >&2
}

can_run() {
  command -v "$1" >/dev/null 2>&1
}

# What is missing: shown to people, and the Debian packages that bring it.
missing=
packages=

note_missing() { # what, package...
  missing="$missing $1"
  shift
  for package in "$@"; do
    packages="$packages $package"
  done
}

want_command() { # command, package...
  can_run "$1" || note_missing "$@"
}

want_headers() {
  if [ -n "${LUA_INCDIR:-}" ]; then
    [ -f "$LUA_INCDIR/lua.h" ] && return
  else
    [ -n "$(tools/lua-flags.sh --cflags 2>/dev/null)" ] && return
  fi
  note_missing lua.h "liblua$VERSION-dev"
}

missing_modules() { # module...
  can_run "$LUA" || { echo "$*"; return; }
  (
    eval "$(tools/env.sh)"
    "$LUA" -e 'for i = 1, #arg do
      local name = arg[i]
      local found = package.searchpath(name, package.path)
        or package.searchpath(name, package.cpath)
      if found and name == "posix" then found = pcall(require, name) end
      if not found then io.write(name, " ") end
    end' /dev/null "$@"
  )
}

want_modules() { # module...
  for module in $(missing_modules "$@"); do
    case $module in
      posix) note_missing luaposix ;;
      *) note_missing "$module" "lua-$module" ;;
    esac
  done
}

want() { # purpose
  case $1 in
    build)
      want_command "$CC" gcc libc6-dev
      want_command ar binutils
      want_command pkg-config pkg-config
      want_command "$LUA" "lua$VERSION"
      want_headers
      ;;
    run) want build; want_modules posix argparse ;;
    test) want build; want_modules posix argparse busted ;;
    lint)
      want build
      want_command luacheck lua-check
      want_command clang clang
      want_command clang-format clang-format
      ;;
    leaks) want_command valgrind valgrind ;;
    model) want_command "$CC" gcc libc6-dev; want_command spin spin ;;
    sanitize) want_command patchelf patchelf ;;
    docs) want_command ldoc lua-ldoc lua-markdown ;;
    rock) want run; want_command luarocks luarocks ;;
    fuzz)
      want build
      want_command clang clang
      [ -n "$(find /usr/lib/llvm* /usr/lib/clang -name 'libclang_rt.fuzzer*' 2>/dev/null)" ] ||
        note_missing libFuzzer libclang-rt-dev
      ;;
    *) say "unknown purpose '$1'"; exit 2 ;;
  esac
}

look() { # purpose...
  missing=
  packages=
  for purpose in "$@"; do
    want "$purpose"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

apt_install() { # package...
  can_run apt-get || return 1
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || return 1
  say "installing $*"
  for attempt in fresh updated; do
    [ "$attempt" = fresh ] ||
      as_root apt-get -q -o DPkg::Lock::Timeout=120 update >&2 || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
      -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@" \
      >&2 </dev/null && return
  done
  return 1
}

rocks_install() { # rock
  can_run luarocks || return 1
  say "asking LuaRocks for $1"
  timeout -k 5 "$ROCKS_SECONDS" luarocks --lua-version "$VERSION" --tree "$PWD/.deps" \
    install "$1" >.deps/luarocks.log 2>&1 </dev/null
}

install_module() { # module, rock, Debian package
  [ -n "$(missing_modules "$1")" ] || return 0
  mkdir -p .deps
  if rocks_install "$2" && [ -z "$(missing_modules "$1")" ]; then
    return 0
  fi
  say "asking Debian for $3"
  tools/fetch-deb.sh "$3" >.deps/fetch-deb.log 2>&1 && [ -z "$(missing_modules "$1")" ] &&
    return 0
  # What cannot be loaded here must not hide what people install themselves.
  rm -rf ".deps/share/lua/$VERSION/$1" ".deps/lib/lua/$VERSION/$1"
  return 1
}

give_up() {
  say "missing:$missing"
  if can_run apt-get && [ -n "$packages" ]; then
    say "install them (as root: apt-get install$packages) and try again"
  else
    say "install them with your package manager or LuaRocks and try again"
  fi
  for rock in luaposix argparse busted; do
    case $missing in
      *"$rock"*)
        say "$rock needs a build for Lua $VERSION:" \
          "luarocks --lua-version $VERSION install $rock"
        ;;
    esac
  done
  [ ! -e .deps/luarocks.log ] || say "(what was tried: .deps/luarocks.log, .deps/fetch-deb.log)"
  exit 1
}

# Libraries that only some specs look at, which are pending without them: asked for
# once, and not insisted upon.
install_optional() {
  asked=.deps/optional-asked${VERSION#5.4}
  [ ! -e "$asked" ] || return 0
  optional=
  for module in $(missing_modules cjson lpeg pl.List socket cqueues luv); do
    case $module in
      pl.List) optional="$optional lua-penlight" ;;
      *) optional="$optional lua-$module" ;;
    esac
  done
  mkdir -p .deps
  : >"$asked"
  # shellcheck disable=SC2086
  [ -z "$optional" ] || apt_install $optional || say "specs of$optional will be pending"
}

[ $# -gt 0 ] || set -- run
case " $* " in *' test '*) install_optional ;; esac
look "$@"
[ -n "$missing" ] || exit 0

wanted=$missing
# shellcheck disable=SC2086
[ -z "$packages" ] || apt_install $packages
case $wanted in *luaposix*) install_module posix luaposix lua-posix ;; esac
case $wanted in *argparse*) install_module argparse argparse lua-argparse ;; esac
look "$@"
[ -z "$missing" ] || give_up
