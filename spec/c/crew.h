/*
** A crew: a board, workers that run the real loop, and a parent that posts,
** drains, shares and settles as the pool does, but without Lua. Items are
** numbers; every one must have exactly one outcome, and begin at most once.
*/
#ifndef CREW_H
#define CREW_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/thread.h"
#include "task/board.h"
#include "task/replies.h"

enum { CREW_WORKERS = 8, CREW_TAG = 4 /* bytes of a chunk's function */ };

enum crew_outcome { CREW_NONE, CREW_DONE, CREW_CRASHED, CREW_CANCELLED };

/* Written by workers, which may be processes. */
typedef struct crew_shared {
  ccp_bell bell;
  _Atomic uint32_t wrong; /* bodies and claims that cannot be */
  _Atomic uint32_t gate;  /* for the tests' own use */
  _Atomic uint8_t begun[];
} crew_shared;

typedef struct crew_call {
  uint32_t first, items, done; /* items 0: no call */
  void *block;                 /* owned: its body, if that is long */
} crew_call;

typedef struct crew crew;

typedef struct crew_worker {
  crew *crew;
  uint32_t me;
  ccp_thread thread;
  pid_t pid;
  ccp_reader reader;
  const void *last_block;
} crew_worker;

struct crew {
  ccp_board *board;
  crew_shared *shared;
  size_t shared_bytes;
  uint32_t workers, total;
  /* Runs item 'id' in worker 'me' and says how long its reply is. */
  size_t (*run)(crew *c, uint32_t me, uint32_t id);
  /* How many bytes an item's argument has besides its number. */
  size_t (*argument)(uint32_t id);
  /* the parent's */
  ccp_poster poster;
  crew_worker worker[CREW_WORKERS];
  crew_call by_slot[CCP_WINDOW];
  struct {
    uint32_t first, items;
  } * backlog; /* last in, first out */
  uint32_t backlog_n;
  uint8_t *outcome;  /* enum crew_outcome, by item */
  uint32_t finished; /* items with an outcome */
  uint32_t wrong;    /* replies and outcomes that cannot be */
  uint32_t shares;   /* chunks that were split */
  unsigned char *scratch;
};

/* Exits if there is no memory. 'shared': workers will be processes. */
void crew_init(crew *c, uint32_t workers, uint32_t total, int shared);
void crew_fini(crew *c);

void crew_start_threads(crew *c);
void crew_fork(crew *c, uint32_t w);
/* Lets the workers end: threads are joined, processes waited for. */
void crew_close(crew *c);

/* Posts a call of these items, or puts it on the backlog; wakes nobody. */
void crew_post(crew *c, uint32_t first, uint32_t items);
/* Posts what waits on the backlog, and wakes a worker. */
void crew_fill(crew *c);
/* Takes back what is READY in that slot. */
int crew_cancel(crew *c, int slot);
/* Reads all replies; how many. */
uint32_t crew_drain(crew *c);
/* Sleeps until there was a reply, or for that long. */
void crew_wait(crew *c, int64_t at_most_ns);
/* A worker process is dead and reaped. */
void crew_settle(crew *c, uint32_t w);

/* A number that looks random, from a number. */
uint32_t crew_mix(uint32_t n);
/* Checks that the items below 'end' have an outcome, and how it came. */
uint32_t crew_faults(const crew *c, uint32_t end);

#endif
