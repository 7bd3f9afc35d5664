#!/bin/sh
# Has spin look through the model of board, rings and wake-ups (spec/model/board.pml):
# what is right must show no error, and each undone order must show one.
# Usage: tools/model.sh [full]
#
# With deaths the state space is too large for a minute: its search takes SECONDS_EACH (15)
# and says how far it came. 'full' searches all of it (some GB of memory, minutes).
set -u
cd "$(dirname -- "$0")/.." || exit 1

model=$PWD/spec/model/board.pml
out=build/model
full=${1:-}
mkdir -p "$out" && cd "$out" || exit 1

look() { # seconds (0: to the end), flags of the model...
  seconds=$1
  shift
  rm -f board.pml.trail
  spin -a "$@" "$model" >spin.log 2>&1 &&
    ${CC:-gcc} -O2 -DSAFETY -DHC4 -o pan pan.c 2>gcc.log || { cat spin.log gcc.log; exit 1; }
  if [ "$seconds" = 0 ]; then
    ./pan -m100000 >pan.log 2>&1
  else
    timeout "$seconds" ./pan -m100000 >pan.log 2>&1
  fi
  case $? in
    0) end=complete ;;
    124) end="no end in $seconds seconds" ;;
    *) cat pan.log; exit 1 ;;
  esac
  errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.log)
  [ -z "$errors" ] && [ "$end" = complete ] && { cat pan.log; exit 1; }
  [ ! -e board.pml.trail ] || errors=1
}

right() { # seconds, flags...
  look "$@"
  if [ "${errors:-0}" != 0 ]; then
    grep '^pan:' pan.log
    echo "model: FAILED: $* (spin -t -p $* $model shows how, in $out)"
    exit 1
  fi
  shift
  echo "model: no error ($end): $*"
}

wrong() { # seconds, flags...
  look "$@"
  shift
  if [ "${errors:-0}" = 0 ]; then
    echo "model: FAILED: nothing found that is wrong with $*"
    exit 1
  fi
  echo "model: found what is wrong with $*"
}

if [ "$full" = full ]; then
  bound=0
else
  bound=${SECONDS_EACH:-15}
fi
wrong 30 -DCALLS=1 -DKILLS=0 -DBREAK_NO_SECOND_LOOK
wrong 30 -DCALLS=2 -DKILLS=0 -DBREAK_ASLEEP_LATE
right 60 -DCALLS=1 -DKILLS=0 -DSEARCH
right "$bound" -DCALLS=2 -DKILLS=0
right "$bound" -DCALLS=1 -DKILLS=1
if [ "$full" = full ]; then
  wrong 0 -DCALLS=1 -DKILLS=1 -DBREAK_NO_KICK
  wrong 0 -DCALLS=1 -DKILLS=1 -DBREAK_WORDS_FIRST
  wrong 0 -DCALLS=2 -DKILLS=1 -DBREAK_RING_ONCE
  right 0 -DCALLS=2 -DKILLS=0 -DSEARCH
  right 0 -DCALLS=2 -DKILLS=1
fi
