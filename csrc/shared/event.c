/*
** Events. Any thread of any process.
*/
#include "shared/event.h"

#include "os/codes.h"

static void event_repair(ccp_object *o) {
  (void)o; /* the flag is one word */
}

static void event_left(ccp_object *o, uint32_t member, int died) {
  (void)o;
  (void)member;
  (void)died;
}

static void event_fini(ccp_object *o) {
  (void)o;
}

const ccp_object_ops ccp_event_ops = {event_repair, event_left, event_fini,
                                      NULL};

ccp_event *ccp_event_new(void) {
  return ccp_object_new(CCP_K_EVENT, sizeof(ccp_event));
}

/* release and acquire: what was done before set is visible after wait */
void ccp_event_set(ccp_event *e, int on) {
  uint32_t wake = 0;
  ccp_object_lock(&e->object);
  atomic_store_explicit(&e->set, (uint32_t)on, memory_order_release);
  if (on)
    wake = ccp_sleepers_call(&e->sleepers, UINT32_MAX);
  ccp_object_unlock(&e->object);
  ccp_sleepers_wake(&e->sleepers, wake);
}

/* The word of the sleepers grows when the event is set while somebody sleeps:
** that wakes them even if it is cleared again before they look. */
int ccp_event_wait(ccp_event *e, int64_t deadline_ns) {
  int rc = CCP_OK, seen;
  uint32_t word;
  if (atomic_load_explicit(&e->set, memory_order_acquire))
    return CCP_OK;
  ccp_object_lock(&e->object);
  word = atomic_load(&e->sleepers.word);
  for (;;) {
    seen = atomic_load_explicit(&e->set, memory_order_acquire) ||
           atomic_load(&e->sleepers.word) != word;
    if (seen || rc != CCP_OK)
      break;
    rc = ccp_sleep(&e->object, &e->sleepers, deadline_ns);
  }
  ccp_object_unlock(&e->object);
  return seen ? CCP_OK : rc;
}
