#!/bin/sh
# Runs the C tests of a build folder, then the specs against that build, and ends with
# one line: "N passed, N failed". Usage: tools/test.sh build-folder ctest|spec|all
#
# Sanitizer builds leave out the specs tagged #nosan, each of which says why.
#
# Environment: LUA; SPECS (files or folders), TAGS and NOTAGS (comma-separated),
# BUSTED_FLAGS; BUSTED_OUTPUT (a busted output handler); LABEL (put before the last
# line); CTEST_SECONDS (for one C test) and SPEC_SECONDS (for all specs) end what hangs.
# Specs find the interpreter in LUA, the tree in CCPOOL_ROOT and the build folder in
# CCPOOL_BUILD. An interpreter in the build folder's bin stands in
# for that in LUA. Scripts whose first line names lua5.4 get the interpreter in LUA, too.
set -u
cd "$(dirname -- "$0")/.." || exit 1

LUA=${LUA:-lua5.4}
out=$1
what=$2
passed=0
failed=0
skipped=0

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# On a terminal the tests stay in the foreground, so that Ctrl-C reaches them.
foreground=
[ ! -t 0 ] || foreground=--foreground

limited() { # seconds, command...
  seconds=$1
  shift
  timeout $foreground -k 10 "$seconds" "$@"
}

count() { # passed, failed
  passed=$((passed + $1))
  failed=$((failed + $2))
}

# The thread sanitizer cannot bear an address space that is shuffled too well.
steady=
if setarch "$(uname -m)" -R true 2>/dev/null; then
  case $out in *san) steady="setarch $(uname -m) -R" ;; esac
fi

case $out in *san) NOTAGS=${NOTAGS:+$NOTAGS,}nosan ;; esac

run_ctest() { # name
  # shellcheck disable=SC2086
  limited "${CTEST_SECONDS:-300}" $steady "$out/ctest/$1" >"$scratch/log" 2>&1 </dev/null
  status=$?
  sed "s/^\([0-9][0-9]* passed, [0-9][0-9]* failed\)\$/$1: \1/" "$scratch/log"
  line=$(grep -Eo '[0-9]+ passed, [0-9]+ failed' "$scratch/log" | tail -n 1)
  if [ -n "$line" ]; then
    # shellcheck disable=SC2086,SC2046
    count $(echo "$line" | tr -cd '0-9 ')
  fi
  case "$status:$line" in
    0:?*) ;;
    *:*" 0 failed" | *:)
      echo "$1: ended with status $status"
      echo "FAILED: $1 ended with status $status" >>"$scratch/failed"
      count 0 1
      ;;
  esac
}

run_specs() {
  eval "$(tools/env.sh "$out")"
  # These would hide the plain variables from what the specs start.
  unset LUA_PATH_5_4 LUA_CPATH_5_4 LUA_PATH_5_5 LUA_CPATH_5_5
  stand_in=$PWD/$out/bin/$(basename "$LUA")
  if [ -x "$stand_in" ]; then
    PATH=$PWD/$out/bin:$PATH
    LUA=$stand_in
  fi
  if [ "$(command -v lua5.4)" != "$(command -v "$LUA")" ]; then
    mkdir "$scratch/bin"
    ln -s "$(command -v "$LUA")" "$scratch/bin/lua5.4"
    PATH=$scratch/bin:$PATH
  fi
  CCPOOL_ROOT=$PWD
  CCPOOL_BUILD=$PWD/$out
  CCPOOL_TALLY=$scratch/tally
  export PATH LUA CCPOOL_ROOT CCPOOL_BUILD CCPOOL_TALLY
  # A sanitizer's own books grow with every process that the specs start: there each
  # file has a run of its own.
  # shellcheck disable=SC2086
  case $out in
    *san) find ${SPECS:-spec} -name '*_spec.lua' | sort >"$scratch/files" ;;
    *) echo "${SPECS:-spec}" >"$scratch/files" ;;
  esac
  while read -r files; do
    run_busted "$files"
  done <"$scratch/files"
}

run_busted() { # files or folders
  rm -f "$CCPOOL_TALLY"
  # shellcheck disable=SC2086
  limited "${SPEC_SECONDS:-900}" $steady \
    "$LUA" tools/busted.lua -o tools/tally.lua \
    ${TAGS:+"--tags=$TAGS"} ${NOTAGS:+"--exclude-tags=$NOTAGS"} ${BUSTED_FLAGS:-} \
    $1 </dev/null
  status=$?
  spec_failed=0
  if [ -f "$CCPOOL_TALLY" ]; then
    read -r spec_passed spec_failed spec_skipped <"$CCPOOL_TALLY"
    sed -n '2,$s/^/FAILED: /p' "$CCPOOL_TALLY" >>"$scratch/failed"
    count "$spec_passed" "$spec_failed"
    skipped=$((skipped + spec_skipped))
  fi
  if [ "$status" != 0 ] && [ "$spec_failed" = 0 ]; then
    echo "specs: $1 ended with status $status"
    echo "FAILED: $1 ended with status $status" >>"$scratch/failed"
    count 0 1
  fi
}

if [ "$what" != spec ]; then
  for source in spec/c/test_*.c; do
    [ ! -f "$source" ] || run_ctest "$(basename "$source" .c)"
  done
fi
if [ "$what" != ctest ]; then
  run_specs
fi
[ ! -f "$scratch/failed" ] || cat "$scratch/failed"
[ "$skipped" = 0 ] || echo "($skipped skipped)"
echo "${LABEL:+$LABEL: }$passed passed, $failed failed"
[ "$failed" = 0 ]
