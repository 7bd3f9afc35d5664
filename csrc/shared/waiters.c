/*
** Waiters. Any thread of any process.
*/
#include "shared/waiters.h"

#include "os/codes.h"
#include "os/futex.h"
#include "shared/arena.h"

static uint32_t state_of(const ccp_waiter *w) {
  return atomic_load_explicit(&w->state, memory_order_acquire);
}

static ccp_waiter *free_room(ccp_waiters *ws) {
  for (;; ws = ws->next) {
    for (int i = 0; i < CCP_WAITERS_ROOM; i++)
      if (state_of(&ws->room[i]) == CCP_WAITER_NONE)
        return &ws->room[i];
    if (!ws->next)
      ws->next = ccp_arena_alloc_zeroed(sizeof *ws);
    if (!ws->next)
      return NULL;
  }
}

ccp_waiter *ccp_waiters_join(ccp_waiters *ws, uint32_t member,
                             uint64_t ticket) {
  ccp_waiter *w = free_room(ws);
  if (!w)
    return NULL;
  w->member = member;
  w->ticket = ticket;
  atomic_store_explicit(&w->state, CCP_WAITER_WAITS, memory_order_release);
  return w;
}

ccp_waiter *ccp_waiters_first(ccp_waiters *ws, uint32_t state) {
  ccp_waiter *first = NULL;
  for (; ws; ws = ws->next)
    for (int i = 0; i < CCP_WAITERS_ROOM; i++)
      if (state_of(&ws->room[i]) == state &&
          (!first || ws->room[i].ticket < first->ticket))
        first = &ws->room[i];
  return first;
}

ccp_waiter *ccp_waiters_of(ccp_waiters *ws, uint32_t member) {
  for (; ws; ws = ws->next)
    for (int i = 0; i < CCP_WAITERS_ROOM; i++)
      if (state_of(&ws->room[i]) != CCP_WAITER_NONE &&
          ws->room[i].member == member)
        return &ws->room[i];
  return NULL;
}

uint32_t ccp_waiters_count(ccp_waiters *ws, uint32_t state) {
  uint32_t n = 0;
  for (; ws; ws = ws->next)
    for (int i = 0; i < CCP_WAITERS_ROOM; i++)
      n += state_of(&ws->room[i]) == state;
  return n;
}

void ccp_waiter_tell(ccp_waiter *w, uint32_t state) {
  atomic_store_explicit(&w->state, state, memory_order_release);
  ccp_futex_wake(&w->state, 1);
}

void ccp_waiter_end(ccp_waiter *w) {
  atomic_store_explicit(&w->state, CCP_WAITER_NONE, memory_order_release);
}

void ccp_waiters_fini(ccp_waiters *ws) {
  while (ws->next) {
    ccp_waiters *gone = ws->next;
    ws->next = gone->next;
    ccp_arena_free(gone);
  }
}

int ccp_waiter_sleep(ccp_waiter *w, int64_t deadline_ns) {
  return ccp_futex_wait(&w->state, CCP_WAITER_WAITS, deadline_ns);
}
