/*
** The slow ways of the lock. Any thread of one process.
*/
#include "os/lock.h"

#include "os/clock.h"
#include "os/futex.h"

#define SPINS 100 /* about as long as the pool's lock is ever held */

void ccp_lock_init(ccp_lock *l, enum ccp_lock_rank rank) {
  atomic_init(&l->word, 0);
  l->rank = (uint32_t)rank;
}

/* Whoever finds the lock held leaves 2 behind, so the holder knows to wake;
** a woken thread takes it with 2 because others may still sleep. */
void ccp_lock_wait_(ccp_lock *l) {
  for (int i = 0; i < SPINS; i++) {
    uint32_t free_word = 0;
    if (atomic_load_explicit(&l->word, memory_order_relaxed) == 0 &&
        atomic_compare_exchange_weak_explicit(&l->word, &free_word, 1,
                                              memory_order_acquire,
                                              memory_order_relaxed))
      return;
    ccp_clock_pause();
  }
  while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0)
    (void)ccp_futex_wait(&l->word, 2, CCP_NEVER);
}

void ccp_lock_wake_(ccp_lock *l) {
  ccp_futex_wake(&l->word, 1);
}

#ifdef CCP_DEBUG
#include <assert.h>

#include "os/local.h"

/* Bit n is set while this thread holds a lock of rank n. */
static CCP_LOCAL uint32_t held;

void ccp_lock_enter_(const ccp_lock *l) {
  assert((held >> l->rank) == 0 && "locks are taken in rising order");
  held |= 1u << l->rank;
}

void ccp_lock_leave_(const ccp_lock *l) {
  assert((held & (1u << l->rank)) && "released by the thread that took it");
  held &= ~(1u << l->rank);
}
#endif
