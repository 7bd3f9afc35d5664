/*
** Robust mutexes: those of the C library, whose owners the kernel watches. Any
** thread of any process.
*/
#include "shared/mutex.h"

#include <errno.h>

#include "os/clock.h"
#include "os/codes.h"

enum { SPINS = 60 }; /* sections are shorter than a sleep */

int ccp_mutex_init(ccp_mutex *m) {
  pthread_mutexattr_t a;
  int err = pthread_mutexattr_init(&a);
  if (err == 0) {
    (void)pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    (void)pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    err = pthread_mutex_init(&m->m, &a);
    (void)pthread_mutexattr_destroy(&a);
  }
  return err == 0 ? CCP_OK : CCP_E_NOMEM;
}

/* The mutex is usable again before anything is repaired: if this holder dies
** too, the next one is told the same. */
int ccp_mutex_lock(ccp_mutex *m) {
  int err = EBUSY;
  for (int i = 0; i < SPINS && err == EBUSY; i++) {
    err = pthread_mutex_trylock(&m->m);
    if (err == EBUSY)
      ccp_clock_pause();
  }
  if (err == EBUSY)
    err = pthread_mutex_lock(&m->m);
  if (err != EOWNERDEAD)
    return 0;
  (void)pthread_mutex_consistent(&m->m);
  return 1;
}

void ccp_mutex_unlock(ccp_mutex *m) {
  (void)pthread_mutex_unlock(&m->m);
}
