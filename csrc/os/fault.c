/*
** Fault injection of debug builds. Any thread of any process; every process
** counts for itself.
*/
#include "os/fault.h"

#ifdef CCP_DEBUG
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ccp_fault_kill(const char *point) {
  static _Atomic long passages;
  const char *wish = getenv("CCP_FAULT");
  size_t len = strlen(point);
  if (!wish || strncmp(wish, point, len) != 0 || wish[len] != ':')
    return;
  if (atomic_fetch_add(&passages, 1) + 1 == atol(wish + len + 1))
    (void)kill(getpid(), SIGKILL);
}
#else
typedef int ccp_fault_unused; /* ISO C wants a declaration */
#endif
