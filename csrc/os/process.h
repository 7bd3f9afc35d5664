/*
** Processes: forking, what a child must forget, and who belongs to whom.
*/
#ifndef CCP_OS_PROCESS_H
#define CCP_OS_PROCESS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

extern _Atomic uint32_t ccp_process_epoch_; /* of ccp_process_epoch only */

/* Another in every process of the family, whoever forked it: a thing that
** remembers another epoch than this belongs to an ancestor, or came from
** somewhere else. Any thread. */
static inline uint32_t ccp_process_epoch(void) {
  return atomic_load_explicit(&ccp_process_epoch_, memory_order_relaxed);
}

/* Begins to count epochs; idempotent, called before the first fork that
** matters. CCP_OK or CCP_E_NOMEM. */
int ccp_process_watch_forks(void);

/* Registers a descriptor that only this process may hold: every child made
** by ccp_process_fork closes it. CCP_OK or CCP_E_NOMEM. */
int ccp_process_own_fd(int fd);
/* Closes a registered descriptor and forgets it; -1 is ignored. */
void ccp_process_close_fd(int fd);

/* fork(2) after flushing stdio, with all signals blocked in the child and all
** registered descriptors closed there but keep[0..n). -1: errno. Call it from
** a thread that holds none of our locks. */
pid_t ccp_process_fork(const int *keep, int n);
/* The same for a process that writes nothing and has all signals blocked. */
pid_t ccp_process_fork_silent(const int *keep, int n);

/* In a child of a zygote: default dispositions, SIGINT ignored, nothing
** blocked; killed with its parent. False when the parent is gone already. */
int ccp_process_be_worker(pid_t parent);
/* The same in a child of a program, which may have had other threads. */
int ccp_process_be_child(pid_t parent);
/* In a child that may have had other threads: only SIGKILL and our own doing
** end it. Signals have their default disposition, which children inherit, but
** SIGINT is ignored; and all are blocked. */
void ccp_process_be_zygote(void);

/* A descriptor that is readable once process 'pid' ended, or -1. */
int ccp_process_pidfd(pid_t pid);

/* When process 'pid' was started, in ticks since the system was: together they
** name a process for good. 0 if it has ended, though nobody has waited for it
** yet; 1 if that cannot be found out. Async-signal-safe. */
uint64_t ccp_process_started(pid_t pid);

/* The resident set in bytes of process 'pid', 0 if it cannot be read. */
int64_t ccp_process_rss(pid_t pid);

/* Gives stdout a buffer that lines fit into, unless the program has taken its
** buffer away: print then writes a line at once. While nothing is in it. */
void ccp_process_widen_output(void);

/* The calling process may take that much more address space, roughly: what the
** system refuses from then on fails as want of memory does. */
void ccp_process_limit_memory(size_t more);

/* Random bytes from the system. */
void ccp_process_random(void *p, size_t len);

/* Name of a signal ("SIGSEGV"), or NULL. */
const char *ccp_process_signame(int sig);

#endif
