/*
** Barriers. The phase and each waiter's state are all there is to a barrier, so
** a death between two stores leaves nothing to repair but a half-told crowd.
** Any thread of any process.
*/
#include "shared/barrier.h"

#include "os/codes.h"

static ccp_barrier *of(ccp_object *o) {
  return (ccp_barrier *)(void *)o;
}

static void tell_all(ccp_barrier *b, uint32_t state) {
  ccp_waiter *w;
  while ((w = ccp_waiters_first(&b->waiters, CCP_WAITER_WAITS)) != NULL)
    ccp_waiter_tell(w, state);
}

static void wake_early(ccp_barrier *b) {
  ccp_sleepers_wake(&b->early, ccp_sleepers_call(&b->early, UINT32_MAX));
}

static void break_locked(ccp_barrier *b) {
  b->phase = CCP_BARRIER_BROKE;
  tell_all(b, CCP_WAITER_BROKEN);
  wake_early(b);
}

/* Who opened it told the first waiters already: so are the others. */
static void barrier_repair(ccp_object *o) {
  if (of(o)->phase == CCP_BARRIER_BROKE)
    tell_all(of(o), CCP_WAITER_BROKEN);
}

/* A party that died while it waited, or while it ran the action, will not go on
** with the others. */
static void barrier_left(ccp_object *o, uint32_t member, int died) {
  ccp_barrier *b = of(o);
  ccp_waiter *w;
  int broke = b->phase == CCP_BARRIER_ACTS && b->runner == member;
  (void)died;
  while ((w = ccp_waiters_of(&b->waiters, member)) != NULL) {
    broke = broke || atomic_load(&w->state) == CCP_WAITER_WAITS;
    ccp_waiter_end(w);
  }
  if (broke)
    break_locked(b);
}

static void barrier_fini(ccp_object *o) {
  ccp_waiters_fini(&of(o)->waiters);
}

const ccp_object_ops ccp_barrier_ops = {barrier_repair, barrier_left,
                                        barrier_fini, NULL};

ccp_barrier *ccp_barrier_new(uint32_t parties) {
  ccp_barrier *b = ccp_object_new(CCP_K_BARRIER, sizeof *b);
  if (b)
    b->parties = parties;
  return b;
}

/* The last party: the action is its own. */
static void act(ccp_barrier *b, uint32_t member, ccp_waiter **w) {
  b->runner = member;
  b->phase = CCP_BARRIER_ACTS;
  *w = NULL;
}

int ccp_barrier_come(ccp_barrier *b, uint32_t member, int64_t deadline_ns,
                     ccp_waiter **w, uint32_t *index) {
  int rc = CCP_OK;
  ccp_object_lock(&b->object);
  while (b->phase == CCP_BARRIER_ACTS && rc == CCP_OK)
    rc = ccp_sleep(&b->object, &b->early, deadline_ns);
  if (b->phase == CCP_BARRIER_BROKE)
    rc = CCP_E_BROKEN;
  else if (b->phase == CCP_BARRIER_FILLS) {
    rc = CCP_OK;
    *index = ccp_waiters_count(&b->waiters, CCP_WAITER_WAITS) + 1;
    if (*index >= b->parties)
      act(b, member, w);
    else if (!(*w = ccp_waiters_join(&b->waiters, member, b->tickets++)))
      rc = CCP_E_NOMEM;
  }
  ccp_object_unlock(&b->object);
  return rc;
}

int ccp_barrier_wait(ccp_barrier *b, ccp_waiter *w, int64_t deadline_ns) {
  int rc = CCP_OK;
  uint32_t state;
  while ((state = atomic_load(&w->state)) == CCP_WAITER_WAITS && rc == CCP_OK)
    rc = ccp_waiter_sleep(w, deadline_ns);
  if (state == CCP_WAITER_WAITS)
    return rc;
  ccp_object_lock(&b->object);
  ccp_waiter_end(w);
  ccp_object_unlock(&b->object);
  return state == CCP_WAITER_TOLD ? CCP_OK : CCP_E_BROKEN;
}

int ccp_barrier_leave(ccp_barrier *b, ccp_waiter *w) {
  uint32_t state;
  ccp_object_lock(&b->object);
  state = atomic_load(&w->state);
  ccp_waiter_end(w);
  if (state == CCP_WAITER_WAITS)
    break_locked(b);
  ccp_object_unlock(&b->object);
  return state == CCP_WAITER_TOLD;
}

void ccp_barrier_open(ccp_barrier *b) {
  ccp_object_lock(&b->object);
  if (b->phase == CCP_BARRIER_ACTS) {
    tell_all(b, CCP_WAITER_TOLD);
    b->phase = CCP_BARRIER_FILLS;
    wake_early(b);
  }
  ccp_object_unlock(&b->object);
}

void ccp_barrier_break(ccp_barrier *b) {
  ccp_object_lock(&b->object);
  break_locked(b);
  ccp_object_unlock(&b->object);
}

void ccp_barrier_reset(ccp_barrier *b) {
  ccp_object_lock(&b->object);
  tell_all(b, CCP_WAITER_BROKEN);
  b->phase = CCP_BARRIER_FILLS;
  wake_early(b);
  ccp_object_unlock(&b->object);
}

uint32_t ccp_barrier_look(ccp_barrier *b, int *broken) {
  uint32_t n;
  ccp_object_lock(&b->object);
  n = ccp_waiters_count(&b->waiters, CCP_WAITER_WAITS);
  *broken = b->phase == CCP_BARRIER_BROKE;
  ccp_object_unlock(&b->object);
  return n;
}
