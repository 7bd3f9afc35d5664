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
int ccp_fault_no_memory(void) {
  static _Atomic long passages;
  const char *wish = getenv("CCP_FAULT_ALLOC");
  long n, at;
  char *end;
  if (!wish)
    return 0;
  n = strtol(wish, &end, 10);
  at = atomic_fetch_add(&passages, 1) + 1;
  return at == n || (*end == '+' && at > n);
}

#ifdef CCP_WRAP_ALLOC
/* The linker leads our calls of these functions here. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n) {
  return ccp_fault_no_memory() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size) {
  return ccp_fault_no_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n) {
  return ccp_fault_no_memory() ? NULL : __real_realloc(p, n);
}
#endif
#else
typedef int ccp_fault_unused; /* ISO C wants a declaration */
#endif
