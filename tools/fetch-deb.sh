#!/bin/sh
# Fetches Debian packages and unpacks their files for the Lua that LUA names (lua5.5,
# or else 5.4) into .deps, without installing anything.
# Usage: tools/fetch-deb.sh package...
#
# apt runs with sources, lists and cache of its own under .deps/apt; the system's stay
# as they are. The mirror, its options and its key come from the system's sources. Where
# the machine's own release builds a package for an older Lua only, the release below
# is asked. Signatures are always verified: a key too old to know that release is
# replaced by the one in the machine's own debian-archive-keyring package.
set -eu
cd "$(dirname -- "$0")/.."

case ${LUA:-} in
  *5.5*) VERSION=5.5 LATER_SUITE=testing ;;
  *) VERSION=5.4 LATER_SUITE=trixie ;;
esac
LUA_DIR=lua/$VERSION
work=$PWD/.deps/apt

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
  echo "no apt here" >&2
  exit 1
}

codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

# Writes the private sources for one suite, made from the first system source that
# serves this machine's release. With a keyring given, that one verifies.
write_sources() { # suite, keyring or nothing
  rm -rf "$work/sources.d"
  mkdir -p "$work/sources.d"
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    awk -v own="$codename" -v suite="$1" -v key="$2" -f tools/apt-stanza.awk "$file" \
      >"$work/sources.d/ccpool.sources"
    [ ! -s "$work/sources.d/ccpool.sources" ] || return 0
  done
  rm -f "$work/sources.d/ccpool.sources"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    awk -v own="$codename" -v suite="$1" -v key="$2" -f tools/apt-line.awk "$file" \
      >"$work/sources.d/ccpool.list"
    [ ! -s "$work/sources.d/ccpool.list" ] || return 0
  done
  echo "no source of this machine serves release '$codename'" >&2
  return 1
}

private() { # apt command...
  tool=$1
  shift
  "$tool" -q \
    -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/sources.d" \
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
    -o Dir::State="$work/state" -o Dir::Cache="$work/cache" \
    -o Dir::State::status=/var/lib/dpkg/status -o APT::Sandbox::User="$(id -un)" \
    -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=30 \
    -o Acquire::https::Timeout=30 -o APT::Update::Error-Mode=any "$@"
}

use_suite() { # suite, keyring or nothing
  rm -rf "$work/state" "$work/cache"
  mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
  write_sources "$1" "$2" && private apt-get update
}

fetch() { # package, into folder
  mkdir -p "$2"
  (cd "$2" && rm -f ./*.deb && private apt-get download "$1" && dpkg-deb -x ./*.deb .)
}

has_build() { # package
  private apt-cache show --no-all-versions "$1" 2>/dev/null |
    grep -q "^Lua-Versions:.*$VERSION"
}

unpack() { # package
  fetch "$1" "$work/root"
  mkdir -p ".deps/share/$LUA_DIR" ".deps/lib/$LUA_DIR"
  for folder in "$work"/root/usr/share/$LUA_DIR; do
    [ ! -d "$folder" ] || cp -RL "$folder/." ".deps/share/$LUA_DIR/"
  done
  for folder in "$work"/root/usr/lib/$LUA_DIR "$work"/root/usr/lib/*/$LUA_DIR; do
    [ ! -d "$folder" ] || cp -RL "$folder/." ".deps/lib/$LUA_DIR/"
  done
}

# Unpacks those of the wanted packages that the suite in use builds for Lua 5.4.
take_from_suite() {
  rest=
  for package in $wanted; do
    if has_build "$package"; then
      unpack "$package"
    else
      rest="$rest $package"
    fi
  done
  wanted=$rest
}

wanted=$*
trap 'rm -rf "$work"' EXIT
use_suite "$codename" ""
take_from_suite
[ -n "$wanted" ] || exit 0

# Fetched now, while the lists of the machine's own release are at hand.
fetch debian-archive-keyring "$work/keyring" || true
keyring=$work/keyring/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keyring" ] || keyring=$work/keyring/usr/share/keyrings/debian-archive-keyring.pgp
use_suite "$LATER_SUITE" "" || { [ -f "$keyring" ] && use_suite "$LATER_SUITE" "$keyring"; }
take_from_suite
[ -z "$wanted" ] || {
  echo "no build for Lua $VERSION of:$wanted" >&2
  exit 1
}
