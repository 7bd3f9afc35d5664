#!/bin/sh
# Has spin look through the model of board, rings and wake-ups (spec/model/board.pml):
# what is right must show no error, and each undone order must show one. Every search goes
# to its end, with a worker dying at any step, too; it takes a minute and 1 GB of memory.
# Usage: tools/model.sh [full]
#
# 'full' adds two calls with a death, which takes many GB of memory and its time.
# SECONDS_EACH (600) ends a search that is not through: that is a failure.
set -u
cd "$(dirname -- "$0")/.." || exit 1

model=$PWD/spec/model/board.pml
out=build/model
full=${1:-}
mkdir -p "$out" && cd "$out" || exit 1

limit=${SECONDS_EACH:-600}
[ "$full" != full ] || limit=${SECONDS_EACH:-36000}

look() { # flags of the model...
  rm -f board.pml.trail
  spin -a "$@" "$model" >spin.log 2>&1 &&
    ${CC:-gcc} -O2 -DSAFETY -DHC4 -o pan pan.c 2>gcc.log || { cat spin.log gcc.log; exit 1; }
  timeout "$limit" ./pan -m100000 -w25 >pan.log 2>&1
  status=$?
  if [ "$status" = 124 ]; then
    echo "model: FAILED: no end in $limit seconds: $*"
    exit 1
  fi
  errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.log)
  states=$(sed -n 's/^ *\([0-9e.+]*\) states, stored.*/\1/p' pan.log)
  # a search that was cut short shows no error, either
  if [ "$status" != 0 ] || [ -z "$errors" ] || grep -q 'too small\|out of memory' pan.log; then
    cat pan.log
    exit 1
  fi
  [ ! -e board.pml.trail ] || errors=1
}

right() { # flags...
  look "$@"
  if [ "$errors" != 0 ]; then
    grep '^pan:' pan.log
    echo "model: FAILED: $* (spin -t -p $* $model shows how, in $out)"
    exit 1
  fi
  echo "model: no error in all $states states: $*"
}

wrong() { # flags...
  look "$@"
  if [ "$errors" = 0 ]; then
    echo "model: FAILED: nothing found that is wrong with $*"
    exit 1
  fi
  echo "model: found what is wrong with $*"
}

wrong -DCALLS=1 -DKILLS=0 -DBREAK_NO_SECOND_LOOK
wrong -DCALLS=2 -DKILLS=0 -DBREAK_ASLEEP_LATE
wrong -DCALLS=1 -DKILLS=1 -DBREAK_NO_SECOND_LOOK
wrong -DCALLS=1 -DKILLS=1 -DBREAK_NO_KICK
wrong -DCALLS=1 -DKILLS=1 -DBREAK_WORDS_FIRST
right -DCALLS=1 -DKILLS=0 -DSEARCH
right -DCALLS=2 -DKILLS=0
right -DCALLS=1 -DKILLS=1
if [ "$full" = full ]; then
  right -DCALLS=1 -DKILLS=1 -DSEARCH
  right -DCALLS=2 -DKILLS=0 -DSEARCH
  wrong -DCALLS=2 -DKILLS=1 -DBREAK_RING_ONCE
  right -DCALLS=2 -DKILLS=1
fi
