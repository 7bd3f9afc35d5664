/*
** A growing run of bytes; see buf.h. Any one thread.
*/
#include "codec/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "os/codes.h"

enum { CAP_MIN = 64 };

/* The capacity to ask for when `need` bytes must fit: half as much again as
** now, so that n appends cost O(n) in all. */
static size_t grown(size_t cap, size_t need) {
  size_t half = cap / 2;
  size_t want = cap <= SIZE_MAX - half ? cap + half : SIZE_MAX;
  if (want < need)
    want = need;
  return want < CAP_MIN ? CAP_MIN : want;
}

static int resize(ccp_buf *b, size_t cap) {
  unsigned char *data = realloc(b->data, cap);
  if (data == NULL)
    return CCP_E_NOMEM;
  b->data = data;
  b->cap = cap;
  return CCP_OK;
}

void ccp_buf_init(ccp_buf *b) {
  b->data = NULL;
  b->len = 0;
  b->cap = 0;
}

void ccp_buf_fini(ccp_buf *b) {
  free(b->data);
  ccp_buf_init(b);
}

int ccp_buf_reserve(ccp_buf *b, size_t extra) {
  if (extra <= b->cap - b->len)
    return CCP_OK;
  /* PTRDIFF_MAX: no object is larger, and some allocators abort instead of
  ** refusing beyond it. */
  if (extra > (size_t)PTRDIFF_MAX - b->len)
    return CCP_E_NOMEM;
  size_t need = b->len + extra;
  size_t want = grown(b->cap, need);
  if (want <= (size_t)PTRDIFF_MAX && resize(b, want) == CCP_OK)
    return CCP_OK;
  return resize(b, need);
}

int ccp_buf_put(ccp_buf *b, const void *p, size_t n) {
  if (n == 0)
    return CCP_OK;
  int rc = ccp_buf_reserve(b, n);
  if (rc != CCP_OK)
    return rc;
  memcpy(b->data + b->len, p, n);
  b->len += n;
  return CCP_OK;
}

void ccp_buf_trim(ccp_buf *b, size_t keep) {
  if (keep < b->len)
    keep = b->len;
  if (b->cap <= keep)
    return;
  if (keep == 0)
    ccp_buf_fini(b);
  else
    (void)resize(b, keep);
}
