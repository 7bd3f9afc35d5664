/*
** Sleep on a 32-bit word, and wake who sleeps on it; across processes when
** the word lies in shared memory.
*/
#ifndef CCP_OS_FUTEX_H
#define CCP_OS_FUTEX_H

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>

#define CCP_WAKE_ALL INT_MAX

/* Sleeps while *word is 'expected', until deadline_ns. CCP_OK (woken, or the
** word differed, or for no reason: look again), CCP_E_TIMEOUT, CCP_E_INTR. */
int ccp_futex_wait(_Atomic uint32_t *word, uint32_t expected,
                   int64_t deadline_ns);

/* Wakes at most 'count' sleepers. Never blocks, keeps errno. */
void ccp_futex_wake(_Atomic uint32_t *word, int count);

#endif
