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

static void release(ccp_buf *b) {
  if (b->is_block)
    b->blocks->give(b->blocks->ud, b->data);
  else
    free(b->data);
}

static int move_to_block(ccp_buf *b, size_t cap) {
  size_t room;
  unsigned char *data = b->blocks->take(b->blocks->ud, cap, &room);
  if (data == NULL)
    return CCP_E_NOMEM;
  if (b->len > 0)
    memcpy(data, b->data, b->len);
  release(b);
  b->data = data;
  b->cap = room;
  b->is_block = 1;
  return CCP_OK;
}

/* A buffer that lies in a block never goes back to malloc. */
static int resize(ccp_buf *b, size_t cap) {
  if (b->blocks != NULL && (b->is_block || cap > b->blocks->from))
    return move_to_block(b, cap);
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
  b->blocks = NULL;
  b->is_block = 0;
}

/* Empty, but it still gets large memory from where it did. */
static void forget(ccp_buf *b) {
  b->data = NULL;
  b->len = b->cap = 0;
  b->is_block = 0;
}

void ccp_buf_fini(ccp_buf *b) {
  release(b);
  forget(b);
}

void *ccp_buf_detach(ccp_buf *b) {
  void *block = b->data;
  if (!b->is_block)
    return NULL;
  forget(b);
  return block;
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
  if (keep == 0 || (b->is_block && b->len == 0))
    ccp_buf_fini(b);
  else if (!b->is_block)
    (void)resize(b, keep);
}
