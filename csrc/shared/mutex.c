/*
** Robust mutexes: those of the C library, whose owners the kernel watches. Any
** thread of any process.
*/
#include "shared/mutex.h"

#include <errno.h>

#include "os/clock.h"
#include "os/codes.h"

enum {
  SPINS = 60, /* sections are shorter than a sleep */
  PATIENCE = 1000
};

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

static int spin(ccp_mutex *m, int times) {
  int err = EBUSY;
  for (int i = 0; i < times && err == EBUSY; i++) {
    err = pthread_mutex_trylock(&m->m);
    if (err == EBUSY)
      ccp_clock_pause();
  }
  return err;
}

/* The mutex is usable again before anything is repaired: if this holder dies
** too, the next one is told the same. */
static int taken(ccp_mutex *m, int err) {
  if (err != EOWNERDEAD)
    return 0;
  (void)pthread_mutex_consistent(&m->m);
  return 1;
}

int ccp_mutex_lock(ccp_mutex *m) {
  int err = spin(m, SPINS);
  return taken(m, err == EBUSY ? pthread_mutex_lock(&m->m) : err);
}

int ccp_mutex_try(ccp_mutex *m) {
  int err = spin(m, PATIENCE);
  return err == EBUSY ? -1 : taken(m, err);
}

void ccp_mutex_unlock(ccp_mutex *m) {
  (void)pthread_mutex_unlock(&m->m);
}
