/*
** The pool's inside, for the files of this folder only.
*/
#ifndef CCP_POOL_STATE_H
#define CCP_POOL_STATE_H

#include <stdatomic.h>

#include "codec/funcs.h"
#include "os/lock.h"
#include "os/thread.h"
#include "pool/funcs.h"
#include "pool/pool.h"
#include "pool/trace.h"
#include "task/backlog.h"
#include "task/deadlines.h"
#include "worker/plan.h"
#include "worker/thread.h"
#include "worker/zygote.h"

/* Who submits to the pool: its owner, or another thread of the process, a
** worker as a rule. The pool's lock guards it but for `stirred`. */
struct ccp_party {
  ccp_bell *bell;        /* borrowed */
  ccp_task *head, *tail; /* completed, by 'completed'; borrowed */
  ccp_task *newest;      /* unfinished; parties other than the owner */
  uint64_t unfinished;
  /* writer: with the lock; reader: anybody, without (seq_cst: ccp_pool_stirs
  ** is looked at last before sleeping) */
  _Atomic uint32_t stirred; /* the completed list is not empty */
};

typedef struct ccp_worker {
  int used;           /* born or being born, not yet buried */
  int doomed;         /* what it ran was ended: it is to be stopped */
  int abandoned;      /* a thread that did not stop in time: not live */
  int slot;           /* doomed: its call's slot, freed when it is buried */
  int64_t kill_ns;    /* doomed: when to be firmer next */
  int64_t give_up_ns; /* doomed: when the grace period is over */
  ccp_bytes held;     /* doomed: the block that it may still read */
  int64_t born_ns;
  ccp_reader reader;         /* its place in the reply ring */
  int32_t pid;               /* once it has replied */
  uint32_t news;             /* broadcasts it has replied to */
  uint32_t news_before;      /* broadcasts when it was born */
  const void *last_block;    /* the last block that a reply brought */
  ccp_thread_worker *thread; /* threads: owned */
} ccp_worker;

struct ccp_pool {
  /* set before the first thread, constant afterwards */
  ccp_plan plan;   /* owns the board */
  uint32_t epoch;  /* of the process that made it */
  ccp_bell *owner; /* borrowed */
  ccp_limits limits;
  ccp_shelf *shelf;
  ccp_funcs funcs;
  int64_t grace_ns;
  int supervisor_fd;
  ccp_thread supervisor;

  ccp_lock lock;
  /* guarded by lock, from here on */
  ccp_poster poster;
  ccp_task *by_slot[CCP_WINDOW]; /* borrowed until completed */
  ccp_backlog backlog;
  int mixed; /* priorities are in use: the board is kept short */
  ccp_deadlines deadlines;
  uint32_t timed;       /* posted tasks with a timeout */
  int64_t alarm_ns;     /* the supervisor looks again by then */
  ccp_party home;       /* the owner */
  uint32_t parties;     /* others */
  ccp_task *trash;      /* tasks that nobody waits for, by taken: see party.c */
  uint32_t blocked;     /* workers that wait for other tasks: not at work */
  uint32_t claimed;     /* tasks that run where they are waited for */
  uint32_t max_workers; /* at most so many live ones */
  ccp_worker *workers;  /* one per record of the board */
  uint32_t live;        /* workers used and not abandoned */
  uint64_t unfinished;  /* tasks neither finished nor cancelled */
  uint64_t unfinished_items;
  uint64_t begun;  /* submits; paces the draining */
  uint32_t barren; /* deaths since the last reply */
  uint32_t watchers;
  int broken;
  ccp_bytes cause;
  int kill_signal;      /* 0, or what ccp_pool_kill sent last */
  int64_t next_kill_ns; /* when it is said again, more firmly */
  int64_t give_up_ns;   /* when threads that do not end are abandoned */
  int leaked;           /* some thread may still use all of this */
  ccp_zygote zygote;
  ccp_pool_counts counts;
  ccp_histogram waited, ran; /* of workers that are gone */
  ccp_news *last_news;       /* borrowed: the end of the board's list */
  struct {
    uint32_t number; /* of the first broadcast that failed, or 0 */
    uint8_t status;
    ccp_bytes why;
  } bad_news;
  ccp_trace *trace; /* owned; NULL: none is written */
  ccp_loan *loans;  /* owned: see loan.c */

  /* writer: with the lock; reader: anybody, without */
  _Atomic uint32_t life; /* enum ccp_pool_life */
  uint32_t refs;         /* guarded by the lock of the list of pools */
  ccp_pool *next;        /* the same */
};

/* loan.c: gives up what the pool was lent. Nobody else uses the pool. */
void ccp_pool_take_back(ccp_pool *p);

/* ---------------------------------------------- dispatch.c; under the lock */

/* How something failed, as a reply. */
typedef struct ccp_failure {
  uint8_t status;
  const ccp_crash *crash; /* who ran it */
  const void *bytes;
  size_t len;
} ccp_failure;

/* Records in use, or used before. */
static inline uint32_t ccp_pool_high(const ccp_pool *p) {
  return atomic_load_explicit(&p->plan.board->high, memory_order_seq_cst);
}

/* Posts what the board has room for, starts workers if they are wanted, and
** wakes one that sleeps. */
void ccp_pool_fill_locked(ccp_pool *p);
void ccp_pool_drain_locked(ccp_pool *p);
/* Takes the task off backlog or board: 1 if nobody will ever run it. */
int ccp_pool_withdraw_locked(ccp_pool *p, ccp_task *t);
/* Puts an unfinished task before all others of its priority. */
void ccp_pool_put_back_locked(ccp_pool *p, ccp_task *t);
/* Ends a task with these bytes as its reply (of all missing items, for a
** chunk), and lists it. It must be off backlog and board. */
void ccp_pool_end_locked(ccp_pool *p, ccp_task *t, uint8_t status,
                         const void *bytes, size_t len);

/* Counts replies of one status. */
void ccp_pool_count_locked(ccp_pool *p, uint8_t status, uint32_t items);
/* Lists a chunk that has new replies for its owner. */
void ccp_pool_list_locked(ccp_pool *p, ccp_task *t);
/* All replies are in: lists the task for its owner. */
void ccp_pool_finish_locked(ccp_pool *p, ccp_task *t);
/* It lies on the board no more; its slot stays taken. */
void ccp_pool_take_off_locked(ccp_pool *p, ccp_task *t);
/* How many more items max_queue allows. */
uint64_t ccp_pool_places_locked(const ccp_pool *p);
/* May not so many more items be queued now? */
int ccp_pool_full_locked(ccp_pool *p, uint32_t items);
/* Frees the slot it lies in. */
void ccp_pool_release_locked(ccp_pool *p, ccp_task *t);

/* ---------------------------------------------- balance.c; under the lock */

/* An idle worker asked: gives it a share of a chunk that another runs. */
void ccp_pool_balance_locked(ccp_pool *p);
/* Takes back the items of a chunk that have not started; it may end by it. */
void ccp_pool_cut_chunk_locked(ccp_pool *p, ccp_task *t);
/* Ends all tasks: those that have not started, or the running ones too. */
void ccp_pool_end_all_locked(ccp_pool *p, int running_too, uint8_t status,
                             const void *bytes, size_t len);
void ccp_pool_break_locked(ccp_pool *p, uint8_t status, const void *bytes,
                           size_t len);

/* ---------------------------------------------- staff.c; under the lock */

/* Starts workers until there are that many, or as many as may be. */
void ccp_pool_staff_locked(ccp_pool *p, uint64_t wanted);
/* A process worker ended: settles what it ran. */
void ccp_pool_died_locked(ccp_pool *p, uint32_t index, int32_t pid, int status);
/* A worker could not be forked. */
void ccp_pool_unborn_locked(ccp_pool *p, uint32_t index, int err);
/* Joins the threads that have ended. */
void ccp_pool_join_ended_locked(ccp_pool *p);
void ccp_pool_signal_locked(ccp_pool *p, int sig);

/* What a worker ran when it was stopped: its item fails (NULL: it had begun
** none), or is tried again; the items behind it go on. The slot stays taken if
** 'keep_slot'. */
void ccp_pool_settle_locked(ccp_pool *p, ccp_task *t,
                            const ccp_claim_word *word,
                            const ccp_failure *failure, int keep_slot);
void ccp_pool_set_live_locked(ccp_pool *p, uint32_t n);
/* Ends workers above the number that may be. */
void ccp_pool_shrink_locked(ccp_pool *p);

/* ---------------------------------------------- party.c; under the lock */

/* Whose list a completed task goes to; NULL: nobody waits for it any more. */
ccp_party *ccp_pool_party_of_locked(ccp_pool *p, const ccp_task *t);
/* A party's task begins or ends. */
void ccp_party_add_locked(ccp_task *t);
void ccp_party_remove_locked(ccp_task *t);
/* Frees the tasks of parties that have left. When no task is at hand. */
void ccp_pool_sweep_locked(ccp_pool *p);
/* Workers the pool may have now: those that only wait do not count. */
uint32_t ccp_pool_most_locked(const ccp_pool *p);
/* The list of the process's pools. No lock. */
void ccp_pools_add(ccp_pool *p);
/* True if that was the last reference. */
int ccp_pools_drop(ccp_pool *p);

/* ---------------------------------------------- travel.c; under the lock */

typedef struct ccp_ticket ccp_ticket;
/* What is to be looked at for t: for a link, the task that was sent, or NULL
** once that is through. */
ccp_task *ccp_pool_origin_locked(ccp_task *t);
/* The same, but a link that is through stands for itself. */
ccp_task *ccp_pool_target_locked(ccp_task *t);
/* A task that was sent is through. */
void ccp_ticket_finish_locked(ccp_pool *p, ccp_task *t);
/* The link waits no more. */
void ccp_ticket_unlink_locked(ccp_task *link);
/* In a child that has one thread. */
void ccp_tickets_forked(void);

/* ---------------------------------------------- deadlock.c */

/* In a child that has one thread. */
void ccp_stalls_forked(void);

/* ---------------------------------------------- limits.c; under the lock */

/* Ends the task with this failure and stops the worker that runs it. False:
** it is through already. */
int ccp_pool_stop_locked(ccp_pool *p, ccp_task *t, uint8_t status,
                         const char *text);
/* A new task whose deadline has passed ends right away; true if it did. */
int ccp_pool_is_late_locked(ccp_pool *p, ccp_task *t);
/* Sees to all that is due; sets alarm_ns. */
void ccp_pool_expire_locked(ccp_pool *p);
/* The task is on the board, or off it. */
void ccp_pool_timed_locked(ccp_pool *p, const ccp_task *t, int delta);
/* The supervisor has to look by then. */
void ccp_pool_alarm_locked(ccp_pool *p, int64_t at_ns);

/* ---------------------------------------------- supervisor.c */

int ccp_supervisor_start(ccp_pool *p);

#endif
