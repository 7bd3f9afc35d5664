/*
** Conditions. Any thread of any process.
*/
#include "shared/condition.h"

#include "os/codes.h"

static ccp_condition_object *of(ccp_object *o) {
  return (ccp_condition_object *)(void *)o;
}

/* Each waiter's state is one word, and nothing else says the same. */
static void condition_repair(ccp_object *o) {
  (void)o;
}

static void tell_one(ccp_condition_object *c) {
  ccp_waiter *w = ccp_waiters_first(&c->waiters, CCP_WAITER_WAITS);
  if (w)
    ccp_waiter_tell(w, CCP_WAITER_TOLD);
}

/* What a dead waiter was told, it told nobody. */
static void condition_left(ccp_object *o, uint32_t member, int died) {
  ccp_waiter *w;
  (void)died;
  while ((w = ccp_waiters_of(&of(o)->waiters, member)) != NULL) {
    int told = atomic_load(&w->state) == CCP_WAITER_TOLD;
    ccp_waiter_end(w);
    if (told)
      tell_one(of(o));
  }
}

static void condition_fini(ccp_object *o) {
  ccp_waiters_fini(&of(o)->waiters);
}

const ccp_object_ops ccp_condition_ops = {condition_repair, condition_left,
                                          condition_fini, NULL};

ccp_condition_object *ccp_condition_new(void) {
  return ccp_object_new(CCP_K_CONDITION, sizeof(ccp_condition_object));
}

ccp_waiter *ccp_condition_enter(ccp_condition_object *c, uint32_t member) {
  ccp_waiter *w;
  ccp_object_lock(&c->object);
  w = ccp_waiters_join(&c->waiters, member, c->tickets++);
  ccp_object_unlock(&c->object);
  return w;
}

int ccp_condition_wait(ccp_condition_object *c, ccp_waiter *w,
                       int64_t deadline_ns) {
  int rc = CCP_OK;
  (void)c;
  while (atomic_load(&w->state) == CCP_WAITER_WAITS && rc == CCP_OK)
    rc = ccp_waiter_sleep(w, deadline_ns);
  return atomic_load(&w->state) == CCP_WAITER_WAITS ? rc : CCP_OK;
}

int ccp_condition_leave(ccp_condition_object *c, ccp_waiter *w, int pass_on) {
  int told;
  ccp_object_lock(&c->object);
  told = atomic_load(&w->state) == CCP_WAITER_TOLD;
  ccp_waiter_end(w);
  if (told && pass_on)
    tell_one(c);
  ccp_object_unlock(&c->object);
  return told;
}

uint32_t ccp_condition_notify(ccp_condition_object *c, uint32_t n) {
  uint32_t told = 0;
  ccp_waiter *w;
  ccp_object_lock(&c->object);
  for (; told < n; told++) {
    w = ccp_waiters_first(&c->waiters, CCP_WAITER_WAITS);
    if (!w)
      break;
    ccp_waiter_tell(w, CCP_WAITER_TOLD);
  }
  ccp_object_unlock(&c->object);
  return told;
}
