/*
** Deadlocks: workers that sleep until a task is through, and what runs that
** task. A thread that is about to sleep like this joins a list; one that finds
** that nobody could ever wake it does not sleep.
**
** A wait is stuck if the worker that runs the task waits itself, and is stuck.
** Whatever is not known to be stuck is not. Nobody gets stuck but by a wait
** that begins, so it is enough to look then.
**
** While a wait is in the list its thread sleeps, and nobody else frees the
** tasks that it waits for: who leaves takes the lock. So the list's lock is
** held while pools are looked at, one after the other, each under its own.
*/
#include "pool/state.h"

#include "os/codes.h"

static ccp_lock stalls_lock = CCP_LOCK_INIT(CCP_RANK_CLIENTS);
static ccp_stall *stalls; /* borrowed, by 'next' */

void ccp_stalls_forked(void) {
  ccp_lock_init(&stalls_lock,
                CCP_RANK_CLIENTS); /* another thread may hold it */
  stalls = NULL;
}

/* ------------------------------------------------------------ one task */

static int is_stuck_thread(const void *self) {
  for (const ccp_stall *w = stalls; w; w = w->next)
    if (w->self == self)
      return w->stuck;
  return 0;
}

static int is_stuck_worker(const ccp_pool *p, uint32_t index) {
  for (const ccp_stall *w = stalls; w; w = w->next)
    if (w->pool == p && w->index == index)
      return w->stuck;
  return 0;
}

/* Is every worker that the pool may have stuck? */
static int is_exhausted_locked(const ccp_pool *p) {
  uint32_t stuck = 0;
  for (const ccp_stall *w = stalls; w; w = w->next)
    stuck += w->pool == p && w->stuck;
  return stuck >= p->live && p->live >= ccp_pool_most_locked(p);
}

static int may_end_locked(const ccp_pool *p, ccp_task *t) {
  t = ccp_pool_origin_locked(t);
  if (!t || t->state == CCP_T_FINISHED)
    return 1;
  if (t->state == CCP_T_NEW) /* claimed by who helps */
    return !t->rules || !is_stuck_thread(t->rules->helper);
  if (t->state == CCP_T_POSTED) {
    ccp_claim_word w = ccp_board_look(p->plan.board, t->slot);
    if (w.state == CCP_CLAIMED)
      return !is_stuck_worker(p, w.worker);
  }
  return !is_exhausted_locked(p);
}

/* ------------------------------------------------------------ one wait */

static int may_end_any(const ccp_stake *s) {
  int may = 0;
  ccp_lock_acquire(&s->pool->lock);
  may = s->party->head != NULL;
  for (ccp_task *t = s->party->newest; t && !may; t = t->rules->older)
    may = may_end_locked(s->pool, t);
  ccp_lock_release(&s->pool->lock);
  return may;
}

static int may_wake(const ccp_stall *w) {
  int may = 0;
  if (w->task) {
    ccp_lock_acquire(&w->of->lock);
    may = may_end_locked(w->of, w->task);
    ccp_lock_release(&w->of->lock);
  }
  for (uint32_t i = 0; i < w->stake_n && !may; i++)
    may = may_end_any(&w->stakes[i]);
  return may;
}

/* All are stuck until something shows that they are not. */
static int is_stuck(const ccp_stall *me) {
  int changed = 1;
  for (ccp_stall *w = stalls; w; w = w->next)
    w->stuck = 1;
  while (changed && me->stuck) {
    changed = 0;
    for (ccp_stall *w = stalls; w; w = w->next)
      if (w->stuck && may_wake(w)) {
        w->stuck = 0;
        changed = 1;
      }
  }
  return me->stuck;
}

/* Who has replied runs its task no more, and may wait for another. It cannot
** begin to while the list is locked. */
static void drain_all(void) {
  for (const ccp_stall *w = stalls; w; w = w->next) {
    if (w->task)
      ccp_pool_drain(w->of);
    for (uint32_t i = 0; i < w->stake_n; i++)
      ccp_pool_drain(w->stakes[i].pool);
  }
}

/* ------------------------------------------------------------ the list */

static void leave(const ccp_stall *me) {
  for (ccp_stall **at = &stalls; *at; at = &(*at)->next)
    if (*at == me) {
      *at = me->next;
      break;
    }
}

int ccp_stall_begin(ccp_stall *me) {
  int stuck;
  ccp_lock_acquire(&stalls_lock);
  me->next = stalls;
  stalls = me;
  stuck = is_stuck(me);
  if (stuck) {
    drain_all();
    stuck = is_stuck(me);
  }
  if (stuck)
    leave(me);
  ccp_lock_release(&stalls_lock);
  return stuck ? CCP_E_DEADLOCK : CCP_OK;
}

void ccp_stall_end(ccp_stall *me) {
  ccp_lock_acquire(&stalls_lock);
  leave(me);
  ccp_lock_release(&stalls_lock);
}
