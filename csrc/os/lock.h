/*
** A mutual exclusion lock for the threads of one process: one word, no
** destructor, cheap when nobody else wants it. Never placed in memory that a
** child shares.
**
** Lock order is the enum below: a thread takes locks in rising order only.
** Debug builds (CCP_DEBUG) assert it.
*/
#ifndef CCP_OS_LOCK_H
#define CCP_OS_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

enum ccp_lock_rank {
  CCP_RANK_CLIENTS = 1, /* the lists of the program's clients and pools */
  CCP_RANK_POOL = 2,    /* one pool */
  CCP_RANK_TICKETS = 3, /* futures that were sent to other threads */
  CCP_RANK_SHELF = 4,   /* the functions of one pool */
  CCP_RANK_PROCESS = 5, /* the descriptors only this process holds; forking */
  CCP_RANK_HAND = 6     /* one thread or process made by hand */
};

typedef struct ccp_lock {
  _Atomic uint32_t word; /* 0 free, 1 held, 2 held and somebody sleeps */
  uint32_t rank;
} ccp_lock;

#define CCP_LOCK_INIT(rank_)                                                   \
  { 0, rank_ }

void ccp_lock_init(ccp_lock *l, enum ccp_lock_rank rank);

void ccp_lock_wait_(ccp_lock *l);
void ccp_lock_wake_(ccp_lock *l);
#ifdef CCP_DEBUG
void ccp_lock_enter_(const ccp_lock *l);
void ccp_lock_leave_(const ccp_lock *l);
#else
#define ccp_lock_enter_(l) ((void)0)
#define ccp_lock_leave_(l) ((void)0)
#endif

/* Takes the lock; blocks while another thread holds it. */
static inline void ccp_lock_acquire(ccp_lock *l) {
  uint32_t free_word = 0;
  ccp_lock_enter_(l);
  /* acquire: what the last holder wrote is visible from here on */
  if (!atomic_compare_exchange_strong_explicit(
          &l->word, &free_word, 1, memory_order_acquire, memory_order_relaxed))
    ccp_lock_wait_(l);
}

static inline void ccp_lock_release(ccp_lock *l) {
  ccp_lock_leave_(l);
  /* release: pairs with the acquire of the next holder */
  if (atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2)
    ccp_lock_wake_(l);
}

#endif
