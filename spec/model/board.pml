/*
** The board, the reply rings and the wake-up protocol, for spin.
**
** Modelled, step by step in the order of the C code:
**   owner       posts calls (word READY, tail, then ccp_board_wake), waits for
**               replies (ccp_client_wait: LOOKING, drain, ASLEEP, look, sleep)
**   workers     claim (compare-and-swap of the word), pass on, search, sleep
**               (DOZING, idle bit, look again, sleep), reply (ring, then the
**               owner's bell)
**   supervisor  buries the dead (drains the ring, then looks at the words, then
**               ccp_board_bury), has them replaced, tells the owner
**   killer      kills KILLS workers, each between any two of their steps
** A futex is what the kernel makes of it: its word is compared when the sleep
** begins, and nothing but a wake-up ends it. A wake-up that nobody sleeps for
** is lost.
**
** Claims: no call is run twice, answered twice or left without an answer; no
** call is said to have died of its worker after its reply was published; and
** nobody sleeps for ever (an invalid end state). Sleeps with a time limit are
** modelled without it: nothing here hangs on a look that comes by itself.
**
** Not modelled: weaker orders than sequential consistency (whatever matters
** here is seq_cst in C), reuse of slots (laps), chunks and their shares, the
** room of a ring, priorities, broadcasts, watchful workers and ccp_board_wake's
** decision that a few small calls are not worth a wake-up, which those bound
** by time. The pool's lock is a lock; who holds it does not die (the program
** would, and all its workers with it).
**
** Each BREAK_... undoes one of the orders, and spin must find out.
*/
#ifndef CALLS
#define CALLS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#define WORKERS 2
#define NOBODY 7

/* words of slots; position and slot are the same here */
#define FREE 0
#define READY 1
#define CLAIMED 2
/* bells of workers */
#define AWAKE 0
#define DOZING 1
#define RUNG 2
/* the owner's bell */
#define AWAY 0
#define LOOKING 1
#define ASLEEP 2

byte word_state[CALLS], word_worker[CALLS];
byte tail, head;
short searching;

byte bell[WORKERS], idle[WORKERS], spinning[WORKERS];
bool in_futex[WORKERS];
byte ring[WORKERS]; /* 0, or 1 + the call whose reply lies there unread */

byte owner_state;
bool word_changed; /* the bell's word, since the owner read it */
bool owner_in_futex;
bool stirred;

bool locked, closing;
byte woken = NOBODY;

bool killed[WORKERS], lives[WORKERS], left[WORKERS];
bool killer_is_through;

/* what the claims are about */
byte ran[CALLS], answers[CALLS], delivered;
bool published[CALLS];

#define lock() atomic { !locked -> locked = 1 }
#define unlock() locked = 0

/* ---------------------------------------------------------- bells */

/* ring() of board.c: only who makes DOZING to RUNG wakes. */
inline ring_worker(w) {
  if
  :: atomic { bell[w] == DOZING -> bell[w] = RUNG };
     in_futex[w] = 0
  :: atomic { bell[w] != DOZING -> skip }
  fi
}

/* Whatever the bell says: who made it RUNG may have died before it woke. */
inline ring_surely(w) {
#ifdef BREAK_RING_ONCE
  ring_worker(w)
#else
  d_step {
    if
    :: bell[w] == DOZING -> bell[w] = RUNG
    :: else
    fi;
    in_futex[w] = 0
  }
#endif
}

inline wake_all() {
  ring_surely(0);
  ring_surely(1);
  woken = NOBODY
}

/* Takes the duty to wake an idle worker: 'taken' is its number, or NOBODY. */
inline take_idle(taken) {
  if
  :: atomic { idle[0] -> idle[0] = 0; taken = 0 }
  :: atomic { !idle[0] -> skip };
     if
     :: atomic { idle[1] -> idle[1] = 0; taken = 1 }
     :: atomic { !idle[1] -> taken = NOBODY }
     fi
  fi
}

inline kick_owner() {
  d_step {
    word_changed = 1;
    owner_in_futex = 0
  }
}

inline ring_owner() {
  if
  :: atomic { owner_state == ASLEEP -> owner_state = LOOKING };
     kick_owner()
  :: atomic { owner_state != ASLEEP -> skip }
  fi
}

/* ---------------------------------------------------------- under the lock */

inline answer(call) {
  assert(answers[call] == 0);
  answers[call]++;
  delivered++
}

/* A reply that the supervisor took out waits for the owner, who is 'stirred'. */
inline drain_one(w) {
  if
  :: d_step {
       ring[w] ->
       answer(ring[w] - 1);
       ring[w] = 0
     }
  :: atomic { !ring[w] -> skip }
  fi
}

inline drain() {
  drain_one(0);
  drain_one(1)
}

/* ccp_board_wake */
inline wake() {
  if
  :: atomic { searching > 0 -> skip }
  :: atomic { searching <= 0 -> skip };
     if
     :: atomic { woken != NOBODY && bell[woken % WORKERS] == RUNG -> skip }
     :: atomic { woken == NOBODY || bell[woken % WORKERS] != RUNG -> skip };
        take_idle(mate);
        if
        :: mate != NOBODY ->
           woken = mate;
           ring_worker(mate)
        :: else
        fi
     fi
  fi;
  mate = 0
}

/* ---------------------------------------------------------- the owner */

#define STIRS (ring[0] || ring[1] || stirred)

proctype owner() {
  byte posted, before, mate, i;
  do
  :: posted < CALLS -> /* submit */
     lock();
     word_state[posted] = READY;
     atomic { posted++; tail = posted };
     wake();
     unlock()
  :: delivered < posted || posted == CALLS -> /* wait */
     before = delivered;
     do
     :: word_changed = 0;
        owner_state = LOOKING;
        if
        :: STIRS ->
           lock();
           drain();
           stirred = 0;
           unlock()
        :: else
        fi;
        if
        :: delivered > before || delivered == posted -> break
        :: else
        fi;
#ifdef BREAK_ASLEEP_LATE
        if
        :: STIRS -> skip
        :: else ->
           owner_state = ASLEEP;
#else
        owner_state = ASLEEP;
        if
        :: STIRS -> skip
        :: else ->
#endif
           atomic {
             if
             :: !word_changed -> owner_in_futex = 1
             :: else
             fi
           };
           !owner_in_futex
        fi
     od;
     owner_state = AWAY;
     if
     :: posted == CALLS && delivered == CALLS -> break
     :: else
     fi
  od;
  for (i : 0 .. CALLS - 1) {
    assert(answers[i] == 1);
    assert(ran[i] <= 1)
  };
  lock();
  closing = 1;
  wake_all();
  unlock()
}

/* ---------------------------------------------------------- workers */

/* Claims the oldest READY call: 'call' is its number, or NOBODY. The position
** where the look began is not kept: head only grows. */
inline claim() {
  atomic { pos = head; call = NOBODY };
  last = tail;
  do
  :: pos >= last ->
     if /* advance_head */
     :: atomic { head < last -> head = last; pos = 0; last = 0; break }
     :: atomic { head >= last -> pos = 0; last = 0; break }
     fi
  :: pos < last ->
     if
     :: atomic {
          word_state[pos] == READY ->
          word_state[pos] = CLAIMED;
          word_worker[pos] = me;
          call = pos
        };
        if
        :: atomic { head < pos + 1 -> head = pos + 1; pos = 0; last = 0; break }
        :: atomic { head >= pos + 1 -> pos = 0; last = 0; break }
        fi
     :: atomic { word_state[pos] != READY -> pos++ }
     fi
  od
}

inline pass_on() {
  if
  :: head < tail ->
     take_idle(mate);
     if
     :: mate != NOBODY -> ring_worker(mate)
     :: else
     fi
  :: else
  fi;
  mate = 0
}

inline search() {
  if
  :: skip /* nobody may search now */
#ifdef SEARCH
  :: spinning[me] = 1;
     searching++;
     if
     :: head < tail
     :: true /* searched long enough */
     fi;
     searching--;
     spinning[me] = 0
#endif
  fi
}

#ifdef BREAK_NO_SECOND_LOOK
#define MAY_SLEEP (!closing && bell[me] == DOZING)
#else
#define MAY_SLEEP (!(head < tail) && !closing && bell[me] == DOZING)
#endif

inline sleep() {
  bell[me] = DOZING;
  idle[me] = 1;
  do
  :: MAY_SLEEP ->
     atomic {
       if
       :: bell[me] == DOZING -> in_futex[me] = 1
       :: else
       fi
     };
     !in_futex[me]
  :: else -> break
  od;
  idle[me] = 0;
  atomic { bell[me] = AWAKE; waited = 1 }
}

proctype worker(byte me) {
  byte call, pos, last, mate;
  bool waited;
born:
  {
    do
    :: claim();
       if
       :: call != NOBODY ->
          if
          :: waited -> pass_on()
          :: else
          fi;
          d_step { waited = 0; ran[call]++; assert(ran[call] == 1) };
          d_step { /* the ring has room for one here */
            !ring[me] ->
            ring[me] = call + 1;
            published[call] = 1
          };
          ring_owner()
       :: else ->
          if
          :: closing -> break
          :: else
          fi;
          search();
          sleep();
       fi
    od;
    left[me] = 1
  } unless { killed[me] };
  if
  :: killed[me] ->
     atomic { call = 0; pos = 0; last = 0; mate = 0; waited = 0; lives[me] = 0 };
     (lives[me] || left[me]);
     if
     :: !left[me] -> goto born
     :: else
     fi
  :: else
  fi
}

/* ---------------------------------------------------------- deaths */

proctype killer() {
  byte n;
  do
  :: n < KILLS ->
     if
     :: atomic { !killed[0] && !left[0] -> killed[0] = 1 }
     :: atomic { !killed[1] && !left[1] -> killed[1] = 1 }
     :: break
     fi;
     n++
  :: else -> break
  od;
  killer_is_through = 1
}

/* A call that the dead worker claimed and did not answer died with it. */
inline look_at_words(w) {
  d_step {
    i = 0;
    do
    :: i < CALLS ->
       if
       :: word_state[i] == CLAIMED && word_worker[i] == w && !answers[i] ->
          assert(!published[i]);
          answer(i)
       :: else
       fi;
       i++
    :: else -> break
    od;
    i = 0
  }
}

/* ccp_pool_died_locked, ccp_board_bury, and the replacement */
inline bury(w) {
  lock();
#ifdef BREAK_WORDS_FIRST
  look_at_words(w);
  drain_one(w);
#else
  drain_one(w);
  look_at_words(w);
#endif
  idle[w] = 0;
  if
  :: d_step { spinning[w] -> searching--; spinning[w] = 0 }
  :: else
  fi;
  wake_all();
  atomic {
    bell[w] = AWAKE;
    in_futex[w] = 0;
    stirred = 1;
    if
    :: closing -> left[w] = 1
    :: else -> lives[w] = 1; killed[w] = 0
    fi;
    unlock()
  };
#ifdef BREAK_NO_KICK
  ring_owner()
#else
  kick_owner()
#endif
}

#define BURIABLE(w) (killed[w] && !lives[w] && !left[w])

proctype supervisor() {
  byte i;
  do
  :: BURIABLE(0) -> bury(0)
  :: BURIABLE(1) -> bury(1)
  :: killer_is_through && left[0] && left[1] -> break
  od
}

init {
  atomic {
    lives[0] = 1;
    lives[1] = 1;
    run owner();
    run worker(0);
    run worker(1);
    run supervisor();
    run killer()
  }
}
