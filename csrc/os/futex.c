/*
** Sleep and wake on a word of memory. Any thread, any process.
*/
#include "os/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/codes.h"

static long futex(_Atomic uint32_t *word, int op, uint32_t value,
                  const struct timespec *timeout) {
  return syscall(SYS_futex, word, op, value, timeout, NULL,
                 FUTEX_BITSET_MATCH_ANY);
}

/* FUTEX_WAIT_BITSET takes an absolute time on the monotonic clock, so an
** interrupted wait goes on without computing what is left. */
int ccp_futex_wait(_Atomic uint32_t *word, uint32_t expected,
                   int64_t deadline_ns) {
  struct timespec ts, *limit = NULL;
  if (deadline_ns != CCP_NEVER) {
    ts.tv_sec = (time_t)(deadline_ns / CCP_NS_PER_S);
    ts.tv_nsec = (long)(deadline_ns % CCP_NS_PER_S);
    limit = &ts;
  }
  if (futex(word, FUTEX_WAIT_BITSET, expected, limit) == 0)
    return CCP_OK;
  switch (errno) {
  case ETIMEDOUT:
    return CCP_E_TIMEOUT;
  case EINTR:
    return CCP_E_INTR;
  default:
    return CCP_OK; /* EAGAIN: the word had changed */
  }
}

void ccp_futex_wake(_Atomic uint32_t *word, int count) {
  int saved = errno;
  (void)futex(word, FUTEX_WAKE, (uint32_t)count, NULL);
  errno = saved;
}
