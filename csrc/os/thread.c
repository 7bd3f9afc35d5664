/*
** Threads. The starter owns the struct; the thread writes only 'ended'.
*/
#include "os/thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/futex.h"

size_t ccp_thread_stack_bytes(void) {
  pthread_attr_t attr;
  size_t bytes = 0;
  if (pthread_attr_init(&attr) != 0)
    return 0;
  (void)pthread_attr_getstacksize(&attr, &bytes);
  (void)pthread_attr_destroy(&attr);
  return bytes;
}

/* While a thread comes into being it holds locks of the address sanitizer; a
** process that is forked meanwhile would never see them released. */
#ifdef __SANITIZE_ADDRESS__
static void expect_birth(ccp_thread *t) {
  atomic_store(&t->begun, 0);
}

static void tell_birth(ccp_thread *t) {
  atomic_store(&t->begun, 1);
  ccp_futex_wake(&t->begun, CCP_WAKE_ALL);
}

static void await_birth(ccp_thread *t) {
  while (atomic_load(&t->begun) == 0)
    (void)ccp_futex_wait(&t->begun, 0, CCP_NEVER);
}
#else
static void expect_birth(const ccp_thread *t) {
  (void)t;
}

static void tell_birth(const ccp_thread *t) {
  (void)t;
}

static void await_birth(const ccp_thread *t) {
  (void)t;
}
#endif

static void *main_of(void *arg) {
  ccp_thread *t = arg;
  tell_birth(t);
  t->run(t->arg);
  /* release: all the thread did is visible to who sees 1 (join) */
  atomic_store_explicit(&t->ended, 1, memory_order_release);
  ccp_futex_wake(&t->ended, CCP_WAKE_ALL);
  return NULL;
}

int ccp_thread_start(ccp_thread *t, void (*run)(void *), void *arg,
                     size_t stack_bytes) {
  pthread_attr_t attr;
  sigset_t all, old;
  int err;
  t->run = run;
  t->arg = arg;
  atomic_store_explicit(&t->ended, 0, memory_order_relaxed);
  expect_birth(t);
  err = pthread_attr_init(&attr);
  if (err == 0) {
    if (stack_bytes)
      (void)pthread_attr_setstacksize(&attr, stack_bytes);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&t->id, &attr, main_of, t);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attr);
  }
  if (err != 0) {
    errno = err;
    return CCP_E_SYS;
  }
  await_birth(t);
  t->started = 1;
  return CCP_OK;
}

/* 'ended' is the thread's last act, so the pthread_join after it does not
** block for long: the kernel only has to take the stack down. */
int ccp_thread_join(ccp_thread *t, int64_t deadline_ns) {
  if (!t->started)
    return CCP_OK;
  while (atomic_load_explicit(&t->ended, memory_order_acquire) == 0)
    if (ccp_futex_wait(&t->ended, 0, deadline_ns) == CCP_E_TIMEOUT)
      return CCP_E_TIMEOUT;
  (void)pthread_join(t->id, NULL);
  t->started = 0;
  return CCP_OK;
}

void ccp_thread_name(const char *name) {
  char cut[16];
  strncpy(cut, name, sizeof cut - 1);
  cut[sizeof cut - 1] = '\0';
  (void)prctl(PR_SET_NAME, cut, 0, 0, 0);
}
