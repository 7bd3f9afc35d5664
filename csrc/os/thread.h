/*
** Threads: all signals blocked in them, so that the program's handlers run
** where the program expects, and joined with a bound.
*/
#ifndef CCP_OS_THREAD_H
#define CCP_OS_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

typedef struct ccp_thread {
  pthread_t id;
  void (*run)(void *arg);
  void *arg;              /* borrowed */
  _Atomic uint32_t ended; /* futex word: 0, then 1 as the thread's last act */
#ifdef __SANITIZE_ADDRESS__
  _Atomic uint32_t begun; /* futex word: 0, then 1 as its first */
#endif
  int started;
} ccp_thread;

/* The system's default size of a stack. */
size_t ccp_thread_stack_bytes(void);

/* Runs run(arg) in a new thread. 't' must stay where it is until joined.
** CCP_OK or CCP_E_SYS (errno). stack_bytes 0: the system's default. */
int ccp_thread_start(ccp_thread *t, void (*run)(void *), void *arg,
                     size_t stack_bytes);

/* Waits for the thread's end. CCP_OK (joined; the struct is free again) or
** CCP_E_TIMEOUT. A thread that never started counts as joined. */
int ccp_thread_join(ccp_thread *t, int64_t deadline_ns);

/* Names the calling thread; cut to 15 bytes. */
void ccp_thread_name(const char *name);

#endif
