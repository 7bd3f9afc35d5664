/*
** The board: the window of calls that workers may claim, and how sleeping
** workers are woken. It lies in memory that process workers share.
**
** The word of a slot holds everything that changes while a call is on the
** board. The transitions, each one compare-and-swap or store:
**
**   FREE    -> READY    parent: posted (a store: the slot is the parent's)
**   READY   -> CLAIMED  a worker: it runs item 0 from this moment
**   READY   -> FREE     parent: cancelled or taken back
**   CLAIMED -> CLAIMED  its worker: next+1, it runs that item;
**                       parent: limit cut down, those items are its again
**   CLAIMED -> READY    parent: the call is over, the slot posted anew
**
** So whichever instruction a worker dies at, the word tells which item it
** ran, and nobody waits for it.
*/
#ifndef CCP_TASK_BOARD_H
#define CCP_TASK_BOARD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "task/histogram.h"

enum {
  CCP_WINDOW = 1024,          /* slots; a power of two */
  CCP_WORKERS_MOST = 1024,    /* records a board may have */
  CCP_ITEMS_MOST = 60000,     /* items of one call; fits 16 bits */
  CCP_SLOT_BYTES = 40,        /* bodies up to this lie in the slot */
  CCP_ANNEX_BYTES = 64 << 10, /* up to this in the slot's annex */
  CCP_WAIT_BITS = 15          /* of a slot's waits_since: log2 of a weight */
};

enum ccp_slot_state { CCP_FREE, CCP_READY, CCP_CLAIMED };
enum ccp_place { CCP_IN_SLOT, CCP_IN_ANNEX, CCP_IN_BLOCK };

/* One cache line. Body fields: written by the parent while FREE, read by the
** worker that claimed it; the word's release and acquire order them. */
typedef struct ccp_slot {
  _Atomic uint64_t word;
  uint32_t len_low;
  uint16_t len_high;
  uint8_t place;
  uint8_t attempt;
  int64_t waits_since; /* submit time, the low bits being how many calls it
                          stands for (a power of two); or 0 */
  union {
    unsigned char bytes[CCP_SLOT_BYTES];
    const void *block;
  } body;
} ccp_slot;

/* The word, taken apart. */
typedef struct ccp_claim_word {
  uint16_t lap; /* low bits of the position: tells a slot's uses apart */
  uint8_t state;
  uint16_t worker;
  uint16_t next, limit; /* items [next, limit) are unclaimed */
} ccp_claim_word;

uint64_t ccp_word_pack(ccp_claim_word w);
ccp_claim_word ccp_word_unpack(uint64_t word);

/* Where a Lua state that owns pools sleeps. It lies in the arena. */
enum ccp_bell_state {
  CCP_AWAY,    /* not waiting: the supervisor does what cannot wait */
  CCP_LOOKING, /* waiting, awake: will look at every ring before it sleeps */
  CCP_ASLEEP   /* waiting, asleep on 'word' */
};
typedef struct ccp_bell {
  _Atomic uint32_t word;  /* futex; grows with every ring */
  _Atomic uint32_t state; /* enum ccp_bell_state */
  /* the owner's event descriptor, or -1. Written by the owner before the first
  ** task is looped and after the last pool is gone; read by who finishes a
  ** looped task: the pool's lock is between the two */
  int loop_fd;
} ccp_bell;

/* Wakes the bell's owner if it sleeps. Any thread, any process. */
void ccp_bell_ring(ccp_bell *bell);
/* The same, whatever the state says: after the death of a worker that may have
** been about to. */
void ccp_bell_kick(ccp_bell *bell);

enum ccp_bell_word { CCP_AWAKE, CCP_DOZING, CCP_RUNG };

enum ccp_worker_state {
  CCP_W_NONE,     /* the record is unused */
  CCP_W_STARTING, /* parent: asked for */
  CCP_W_UP,       /* worker: ready to claim */
  CCP_W_ENDED     /* worker: left its loop */
};

/* Why a worker shall end after its current item. */
enum ccp_quit {
  CCP_QUIT_STOP = 1, /* it was told to stop what it runs */
  CCP_QUIT_LEAVE     /* it is not needed any more: a normal end */
};

/* One worker's part of the shared memory. */
typedef struct ccp_record {
  /* written by the worker */
  _Alignas(64) _Atomic uint64_t head; /* bytes written to its ring, ever */
  _Atomic(void *) block; /* arena block of the reply in the making */
  _Atomic uint32_t state;
  _Atomic uint32_t tasks;    /* items begun */
  _Atomic uint32_t spinning; /* counted in board.searching */
  _Atomic int32_t pid;
  _Atomic uint32_t full;        /* sleeps until the parent drained its ring */
  _Atomic uint32_t news_before; /* parent: broadcasts when it was born */
  _Atomic uint32_t heard;       /* broadcasts it has run */
  _Atomic int64_t began_ns; /* its item, while board.timed; 0 between items */
  _Atomic int64_t idle_ns;  /* asleep since then, while board.idle_ns; or 0 */
  /* written by the parent */
  _Alignas(64) _Atomic uint64_t tail; /* bytes read from its ring, ever */
  _Atomic uint32_t quit; /* end after the current item: enum ccp_quit or 0 */
  /* futex: CCP_AWAKE and CCP_DOZING by the worker, DOZING to RUNG by who wakes
  ** it: so a bell is never rung but for a worker that sleeps */
  _Alignas(64) _Atomic uint32_t bell;
  _Atomic uint32_t room; /* futex: grows when the ring was drained */
  /* written by the worker */
  _Alignas(64) ccp_histogram waited;
  ccp_histogram ran;
} ccp_record;

/* A call that every worker runs once. It lies in the arena; all but 'next' is
** set before it can be found. */
typedef struct ccp_news {
  _Atomic(struct ccp_news *) next;
  size_t len;
  unsigned char bytes[]; /* the message of function and arguments */
} ccp_news;

typedef struct ccp_board {
  /* one line, so that a submit that finds a worker searching touches no other:
  ** tail is written by the parent, the counts by workers */
  _Alignas(64) _Atomic uint64_t tail; /* positions posted so far */
  _Atomic int32_t searching;          /* workers that need no waking */
  _Atomic int32_t spinners; /* these and the waiting caller, if it searches */
  _Atomic uint32_t timed;   /* parent: workers note when an item begins */
  _Atomic uint32_t trace;   /* parent: and tell when it ended */
  _Atomic uint32_t news_n;  /* parent: broadcasts so far; set after the list */
  /* written by the parent */
  _Alignas(64) _Atomic uint32_t closing; /* no more calls will come */
  _Atomic uint32_t watch;   /* every reply concerns the supervisor */
  _Atomic uint32_t backlog; /* calls wait for room on the board */
  _Atomic uint32_t chunks;  /* posted calls of more than one item */
  _Atomic uint32_t live;    /* workers born and not buried */
  _Atomic uint32_t high;    /* records from here on were never used */
  _Atomic(ccp_news *) news; /* the first of them */
  int64_t idle_ns;          /* a worker that sleeps says so; fixed */
  uint32_t tasks_most;      /* items after which a worker ends, or 0; fixed */
  size_t rss_growth;        /* as max_rss_growth, or 0; fixed */
  _Atomic(ccp_bell *) owner;
  int32_t supervisor_fd; /* set before the first worker starts */
  uint32_t workers;      /* records; fixed */
  uint32_t spin_most;    /* who may search at once; fixed */
  /* written by workers: all positions below are not READY */
  _Alignas(64) _Atomic uint64_t head;
  _Alignas(64) _Atomic uint32_t rung; /* the supervisor's descriptor was rung */
  _Atomic uint32_t ask;     /* an idle worker asks for a share of a chunk */
  _Atomic uint32_t pace_ns; /* what an item took, of late; see ccp_board_wake */
  /* bit per worker: asleep, or about to be; who clears it must wake it */
  _Alignas(64) _Atomic uint64_t idle[CCP_WORKERS_MOST / 64];
  /* bit per worker: asleep, but it will look again by itself in a moment */
  _Atomic uint64_t watchful[CCP_WORKERS_MOST / 64];
  /* bit per worker: born, but not ready yet */
  _Atomic uint64_t starting[CCP_WORKERS_MOST / 64];
  /* what lies behind, in the same mapping */
  ccp_slot *slots;
  ccp_record *records;
  unsigned char *annexes;
  unsigned char *rings;
  size_t bytes; /* of the mapping */
} ccp_board;

/* Maps a board for 'workers' workers, shared with children if 'shared'.
** NULL: no memory. Free with ccp_board_free in the process that made it. */
ccp_board *ccp_board_new(uint32_t workers, int shared);
void ccp_board_free(ccp_board *b);

/* ------------------------------------------------------------ the parent */

#define CCP_NOBODY UINT32_MAX

/* What the parent knows of its board; guarded by the pool's lock. */
typedef struct ccp_poster {
  uint64_t tail;             /* next position */
  uint32_t used;             /* slots not free */
  uint32_t woken;            /* worker woken last, or CCP_NOBODY */
  uint64_t pos[CCP_WINDOW];  /* position of the call that lies there */
  uint8_t taken[CCP_WINDOW]; /* 0: free; 1: one call; 2: a chunk */
} ccp_poster;

/* A slot that the next call may use, or -1: the window is full. */
int ccp_board_room(ccp_board *b, ccp_poster *p);
/* A call to be posted. */
typedef struct ccp_call {
  const void *body; /* copied, or referred to when it is an arena block */
  size_t len;
  int is_block;
  uint32_t items;
  uint8_t attempt;     /* at its first item: 1, or more when it is run again */
  int64_t waits_since; /* as in ccp_slot */
} ccp_call;

/* Posts it into a slot that ccp_board_room gave. Wakes nobody. */
void ccp_board_post(ccp_board *b, ccp_poster *p, int slot,
                    const ccp_call *call);
/* READY calls now, at most 'most' of them counted. */
uint32_t ccp_board_ready(const ccp_board *b, const ccp_poster *p,
                         uint32_t most);
/* Takes a READY call back. True if no worker will ever run it; the slot is
** free then. */
int ccp_board_retract(ccp_board *b, ccp_poster *p, int slot);
/* Leaves the worker that runs the call 'keep' more items and takes the rest
** back: the first item taken, or -1 if the call is not CLAIMED or has no more
** left. */
int ccp_board_cut(ccp_board *b, int slot, uint32_t keep);
/* The slot's call is over: all its replies are in, or its worker died. The
** word stays as it is: nobody takes CLAIMED for READY, and a worker that is
** through with a call does not look at it any more. */
void ccp_board_release(ccp_board *b, ccp_poster *p, int slot);
/* Does a call of that lap lie in the slot? */
int ccp_board_is(const ccp_poster *p, int slot, uint16_t lap);
/* The word now. */
ccp_claim_word ccp_board_look(const ccp_board *b, int slot);
/* Wakes one idle worker if there is one, none is on its way, and it is worth
** it. */
void ccp_board_wake(ccp_board *b, ccp_poster *p);
/* Wakes every worker, whatever it sleeps for. */
void ccp_board_wake_all(ccp_board *b, ccp_poster *p);
/* The worker is about to be born. */
void ccp_board_expect(ccp_board *b, uint32_t worker);
/* Undoes what a dead worker left behind in the shared words. */
void ccp_board_bury(ccp_board *b, ccp_poster *p, uint32_t worker);
/* Number of idle workers. */
uint32_t ccp_board_idle(const ccp_board *b);

/* ------------------------------------------------------------ the workers */

/* A claimed item and its call. */
typedef struct ccp_claim {
  uint64_t pos;
  uint32_t slot;
  uint16_t lap;
  uint16_t item;
  const unsigned char *body;
  size_t len;
  int64_t waits_since;
  uint8_t attempt;
} ccp_claim;

/* The worker is ready. The owner, who may wait for all workers, is told by the
** one that is ready last. */
void ccp_board_come_up(ccp_board *b, uint32_t me);
/* Claims the oldest READY call. True on success. */
int ccp_board_claim(ccp_board *b, uint32_t me, ccp_claim *c);
/* Claims the call's next item. False: there is none left for this worker. */
int ccp_board_next(ccp_board *b, uint32_t me, ccp_claim *c);
/* Any READY call in sight? A hint, but never wrong about what was posted
** before a sequentially consistent operation that this thread has seen. */
int ccp_board_any(const ccp_board *b);
/* Sleeps until woken, unless there is work. Announces itself as idle first.
** While the board is in use it looks again every millisecond by itself. */
void ccp_board_sleep(ccp_board *b, uint32_t me);
/* Wakes another idle worker if calls are left and it is worth it. */
void ccp_board_pass_on(ccp_board *b);
/* Rings the supervisor's descriptor once until it looks. */
void ccp_board_call_supervisor(ccp_board *b);
/* Becomes one of the searching workers if there is a core to spare, and
** ceases to be one. */
int ccp_board_search_enter(ccp_board *b, uint32_t me);
void ccp_board_search_leave(ccp_board *b, uint32_t me);
/* The same for the caller that waits for replies. */
int ccp_board_spin_enter(ccp_board *b);
void ccp_board_spin_leave(ccp_board *b);

#endif
