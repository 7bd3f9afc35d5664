/*
** Mappings of memory. Any thread.
*/
#include "os/mapping.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static void *map(size_t len, int flags) {
  void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
                 flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

void *ccp_mapping_shared(size_t len) {
  return map(len, MAP_SHARED);
}

void *ccp_mapping_private(size_t len) {
  return map(len, MAP_PRIVATE);
}

void ccp_mapping_free(void *p, size_t len) {
  if (p)
    (void)munmap(p, len);
}

void ccp_mapping_hide(void *p, size_t len) {
  (void)madvise(p, len, MADV_DONTFORK);
}

size_t ccp_mapping_page(void) {
  return (size_t)sysconf(_SC_PAGESIZE);
}

/* Advises on the pages that lie in the memory as a whole. */
static void advise(void *p, size_t len, int advice) {
  uintptr_t mask = ccp_mapping_page() - 1;
  uintptr_t from = ((uintptr_t)p + mask) & ~mask;
  uintptr_t to = ((uintptr_t)p + len) & ~mask;
  if (to > from)
    (void)madvise((void *)from, to - from, advice);
}

void ccp_mapping_punch(void *p, size_t len) {
  advise(p, len, MADV_REMOVE);
}

void ccp_mapping_huge(void *p, size_t len) {
  advise(p, len, MADV_HUGEPAGE);
}
