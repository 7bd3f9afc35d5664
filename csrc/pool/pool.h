/*
** A pool: pending tasks, the board, the workers, and the supervisor that
** watches over births and deaths. It knows nothing of Lua.
**
** One Lua thread owns a pool: it submits, waits and takes what is completed.
** The supervisor, a thread of its own, drains when the owner is away, and is
** never on the way of a task.
*/
#ifndef CCP_POOL_POOL_H
#define CCP_POOL_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "shared/object.h"
#include "task/board.h"
#include "task/task.h"

struct ccp_funcs;
struct lua_State;

typedef struct ccp_pool ccp_pool;
typedef struct ccp_party ccp_party;
typedef struct ccp_loan ccp_loan;

/* What a program may demand of a pool; zero is none of it. */
typedef struct ccp_limits {
  uint32_t min_workers;
  int64_t idle_ns;     /* 0: idle workers stay */
  uint32_t tasks_most; /* of one worker */
  size_t rss_growth;   /* bytes; processes */
  uint32_t queue_most; /* 0: any number */
  int break_on_crash;
} ccp_limits;

typedef struct ccp_pool_config {
  int is_process;
  uint32_t max_workers; /* 1 to CCP_WORKERS_MOST */
  const char *name;
  ccp_bell *owner;          /* borrowed: outlives the pool */
  const char *path, *cpath; /* package.path and cpath; copied, may be NULL */
  struct lua_State *L;      /* process workers run in a copy of it */
  int (*open_core)(struct lua_State *L);
  void (*finish)(struct lua_State *L);
  double grace_s;
  ccp_limits limits;
  size_t memory_limit; /* bytes that a worker may use, or 0 */
} ccp_pool_config;

/* Makes a pool without workers. A process pool forks its zygote only with
** ccp_pool_start. NULL: *rc tells (CCP_E_NOMEM, CCP_E_SYS with errno). */
ccp_pool *ccp_pool_new(const ccp_pool_config *config, int *rc);

/* The functions its messages may refer to. */
const struct ccp_funcs *ccp_pool_funcs(const ccp_pool *p);

/* Sets the message of the finalizer (copied). Before ccp_pool_start. CCP_OK or
** CCP_E_NOMEM. */
int ccp_pool_set_finalizer(ccp_pool *p, const void *message, size_t len);

/* Sets the prelude message (copied) and brings zygote and supervisor to life.
** CCP_OK or an error; then the pool is only good for ccp_pool_free. */
int ccp_pool_start(ccp_pool *p, const void *prelude, size_t len,
                   struct lua_State *L);

/* Ends what is left without waiting for tasks, and frees. In a process that
** did not make the pool it only forgets it. Blocks up to the grace period. */
void ccp_pool_free(ccp_pool *p);

/* Did it have to leave a thread behind, which may still use its memory and its
** owner's bell? Once it is closed. */
int ccp_pool_leaked(const ccp_pool *p);

/* Made by this very process? */
int ccp_pool_is_ours(const ccp_pool *p);

/* Takes the task over until it is completed. CCP_OK; CCP_E_CLOSED,
** CCP_E_BROKEN, CCP_E_FULL (as many wait as may), CCP_E_NOMEM (it stays the
** caller's). */
int ccp_pool_submit(ccp_pool *p, ccp_task *t);

/* ------------------------------------------------------------ other threads
**
** A pool has one owner, but its workers and other threads of the process may
** submit to it too: each thread as a party of its own, with a bell of its own.
** NULL for a party below means the owner. */

/* In a child that has one thread: forgets the pools of its ancestors. */
void ccp_pools_forked(void);
/* The pool with that uid (of its functions), referred to once more, or NULL.
** Any thread. */
ccp_pool *ccp_pool_find(uint64_t uid);
uint64_t ccp_pool_uid(const ccp_pool *p);
/* Gives up a reference. */
void ccp_pool_unref(ccp_pool *p);
/* Joins and leaves. Leaving cancels what has not started; what runs is nobody's
** then. The party's tasks must not be looked at any more. NULL: no memory. */
ccp_party *ccp_pool_join(ccp_pool *p, ccp_bell *bell);
void ccp_pool_part(ccp_pool *p, ccp_party *party);
/* A task that belongs to a party, not to a store. NULL: no memory. */
ccp_task *ccp_guest_new(ccp_party *party);
void ccp_guest_free(ccp_task *t);
/* Makes a new task the party's. CCP_OK, CCP_E_NOMEM. */
int ccp_guest_mark(ccp_task *t, ccp_party *party);
/* Has the party unfinished tasks? */
int ccp_party_busy(ccp_pool *p, const ccp_party *party);
/* Takes a task of the party off the pool, for the caller to run it: t, or with
** NULL the newest that has not started. NULL: there is none. helper: names the
** caller's thread; is only compared. */
ccp_task *ccp_pool_claim(ccp_pool *p, const ccp_party *party, ccp_task *t,
                         const void *helper);
/* Ends a task that was claimed. */
void ccp_pool_end_claimed(ccp_pool *p, ccp_task *t, uint8_t status,
                          const void *bytes, size_t len);
/* One of the workers goes to wait for tasks (1), or is back (-1): another may
** take its place. */
void ccp_pool_blocked(ccp_pool *p, int delta);

/* A worker's thread that is about to sleep until `task` of the pool `of` is
** through or, with NULL, any task of those parties. */
typedef struct ccp_stake {
  ccp_pool *pool; /* all borrowed */
  const ccp_party *party;
} ccp_stake;
typedef struct ccp_stall {
  const void *self; /* what names the thread, see ccp_pool_claim */
  ccp_pool *pool;   /* whose worker it is; borrowed, as all here */
  uint32_t index;   /* there */
  uint32_t stake_n;
  ccp_pool *of;
  ccp_task *task;
  const ccp_stake *stakes;
  struct ccp_stall *next; /* for deadlock.c */
  int stuck;
} ccp_stall;
/* CCP_OK: until ccp_stall_end others see that it waits. CCP_E_DEADLOCK: what it
** waits for is run by workers that wait, too, for each other. */
int ccp_stall_begin(ccp_stall *w);
void ccp_stall_end(ccp_stall *w);

/* ------------------------------------------------------------ travelling */

/* How a task ended. */
typedef struct ccp_outcome {
  ccp_bytes bytes;
  int32_t pid;
  uint16_t worker;
  uint8_t status;
} ccp_outcome;

/* Other threads of the process are to get the outcome of t, too: a number that
** names it; 0: no memory. It is known for an hour after the end of t, or for a
** minute once it was received as often as it was sent. */
uint64_t ccp_pool_send(ccp_pool *p, ccp_task *t);
/* The outcome that was sent under that number: 1, and *out is the caller's. 0:
** it is not there yet. CCP_E_CLOSED: it is not known any more. */
int ccp_ticket_outcome(uint64_t number, ccp_outcome *out);
/* Makes a new guest of p a link: it ends as the task of p that was sent under
** that number. CCP_OK, CCP_E_CLOSED (it is not known any more). */
int ccp_pool_receive(ccp_pool *p, ccp_task *link, uint64_t number);

/* Anything to drain or to take? Without the lock; right about all that was
** published before a seq_cst operation this thread has seen. */
int ccp_pool_stirs(const ccp_pool *p, const ccp_party *party);

/* The waiting caller becomes one of the searchers, or ceases to be. */
int ccp_pool_spin_enter(ccp_pool *p);
void ccp_pool_spin_leave(ccp_pool *p);

/* Reads all replies, refills the board. Any thread of this process. */
void ccp_pool_drain(ccp_pool *p);

/* Takes the list of tasks that were completed, or whose chunk has new
** replies, linked by 'taken'; NULL if none. */
ccp_task *ccp_pool_take(ccp_pool *p, ccp_party *party);

/* Cancels a call that has not started: true if it did (it is in the completed
** list now, or was cancelled before). The reason is kept. */
int ccp_pool_cancel(ccp_pool *p, ccp_task *t, const char *reason);
/* Cancels the items of a chunk, and of what was split from it, that have not
** started, and takes their owner away: nobody waits for them any more. */
void ccp_pool_cancel_chunk(ccp_pool *p, ccp_chunk *c);
/* The same for a call that runs: it ends as cancelled, with that text as the
** reason, and its worker is stopped. */
int ccp_pool_cancel_running(ccp_pool *p, ccp_task *t, const char *reason);
/* A copy of the attempts so far that were followed by another (to be freed),
** and how many; NULL for none. */
struct ccp_attempt *ccp_pool_attempts(ccp_pool *p, const ccp_task *t,
                                      size_t *n);
/* Is there room for another task, or no use in waiting for any? */
int ccp_pool_has_room(ccp_pool *p);
/* How many items may be submitted now. */
uint64_t ccp_pool_places(ccp_pool *p);
/* Does a worker run it now? */
int ccp_pool_running(ccp_pool *p, ccp_task *t);
/* Rings 'fd' when t is finished; at once if it is. */
void ccp_pool_watch_fd(ccp_pool *p, ccp_task *t, int fd);
/* When t is finished, rings the loop_fd of the pool's owner, who is the caller
** and submitted t. True: it is already, and nothing rings. */
int ccp_pool_loop(ccp_pool *p, ccp_task *t);
/* From now on the supervisor looks at every reply, even while the owner is
** away: somebody relies on callbacks or descriptors. delta: +1 or -1. */
void ccp_pool_watch(ccp_pool *p, int delta);

/* Moves the replies that came since the last call into c->reading, which must
** have been read to its end, and looks at known and finished. Returns the
** segment behind it as it is now. */
ccp_chunk *ccp_pool_progress(ccp_pool *p, ccp_chunk *c);

/* ------------------------------------------------------------ its life */

enum ccp_pool_life { CCP_P_OPEN, CCP_P_DRAINING, CCP_P_CLOSING, CCP_P_CLOSED };

/* No more submits. With 'cancel', what has not started is cancelled. When the
** last task is through, the workers end and the owner's bell rings. */
void ccp_pool_shutdown(ccp_pool *p, int cancel);
/* Cancels everything and signals the workers: SIGTERM or SIGKILL; threads are
** interrupted. */
void ccp_pool_kill(ccp_pool *p, int sig);
enum ccp_pool_life ccp_pool_life_now(const ccp_pool *p);
/* Starts all workers it may have. CCP_OK, CCP_E_CLOSED, CCP_E_BROKEN. */
int ccp_pool_warmup(ccp_pool *p);
/* From now on at most n workers, 1 to CCP_WORKERS_MOST. CCP_OK, CCP_E_FULL (the
** pool was made for fewer), CCP_E_CLOSED. */
int ccp_pool_resize(ccp_pool *p, uint32_t n);
uint32_t ccp_pool_size(ccp_pool *p);
/* Lets every worker, and every later one, run this message of function and
** arguments once: *number names it. CCP_OK, CCP_E_NOMEM, CCP_E_CLOSED. */
int ccp_pool_broadcast(ccp_pool *p, const void *message, size_t len,
                       uint32_t *number);
/* The pool takes over a handle of an object that such a message names, or what
** workers run first or last, until it is freed. CCP_OK; CCP_E_NOMEM: it is
** still the caller's. */
int ccp_pool_lend(ccp_pool *p, ccp_object_name name);
/* Has every live worker run that broadcast? */
int ccp_pool_heard(ccp_pool *p, uint32_t number);
/* The failure of that broadcast, if it was the first to fail: status, and
** *bytes (to be freed); CCP_R_VALUES: none. */
uint8_t ccp_pool_bad_news(ccp_pool *p, uint32_t number, ccp_bytes *bytes);
/* Begins to write a trace to that file, or with NULL ends it. CCP_OK, CCP_E_SYS
** (errno), CCP_E_NOMEM. */
int ccp_pool_trace(ccp_pool *p, const char *path);
/* Workers ready to run tasks. */
uint32_t ccp_pool_ready(const ccp_pool *p);
/* Copies the bytes of CCP_R_BROKEN of a broken pool; false if it is not. */
int ccp_pool_cause(ccp_pool *p, ccp_bytes *out);

typedef struct ccp_pool_counts {
  uint64_t submitted, done, failed, cancelled;
  uint64_t timeouts, retries, crashes, recycled, abandoned;
  uint64_t queued, running;
} ccp_pool_counts;
typedef struct ccp_worker_info {
  uint32_t index;
  int32_t pid;
  uint32_t state; /* enum ccp_worker_state */
  uint32_t tasks;
  int64_t task; /* number of the call it runs, or 0 */
  double age_s;
  char name[64]; /* of that call, cut short; may be empty */
} ccp_worker_info;
/* How long calls waited and ran, all workers together. Both are cleared
** first. */
void ccp_pool_times(ccp_pool *p, ccp_histogram *waited, ccp_histogram *ran);
void ccp_pool_counts_now(ccp_pool *p, ccp_pool_counts *c);
/* No worker ever had that index, nor a higher one. */
uint32_t ccp_pool_records(const ccp_pool *p);
/* False if there is no worker of that index. */
int ccp_pool_worker_now(ccp_pool *p, uint32_t index, ccp_worker_info *w);

#endif
