/*
** Bytes with one owner. No locking: the owner's.
*/
#include "task/bytes.h"

#include <stdlib.h>

#include "os/codes.h"
#include "shared/arena.h"

void ccp_bytes_init(ccp_bytes *b) {
  b->len = 0;
  b->cap = 0;
}

void ccp_bytes_free(ccp_bytes *b) {
  if (ccp_bytes_is_block(b))
    ccp_arena_free(b->at.far);
  else if (b->cap)
    free(b->at.far);
  ccp_bytes_init(b);
}

void ccp_bytes_adopt(ccp_bytes *b, void *block, size_t len) {
  ccp_bytes_free(b);
  b->at.far = block;
  b->cap = SIZE_MAX;
  b->len = len;
}

static int grow(ccp_bytes *b, size_t len) {
  size_t cap = b->cap ? b->cap : 2 * (size_t)CCP_TASK_BYTES;
  unsigned char *far;
  while (cap < len)
    cap *= 2;
  far = b->cap ? realloc(b->at.far, cap) : malloc(cap);
  if (!far)
    return CCP_E_NOMEM;
  if (!b->cap)
    memcpy(far, b->at.local, b->len);
  b->at.far = far;
  b->cap = cap;
  return CCP_OK;
}

unsigned char *ccp_bytes_extend(ccp_bytes *b, size_t len) {
  size_t room = b->cap ? b->cap : CCP_TASK_BYTES;
  unsigned char *to;
  if (len > room - b->len && grow(b, b->len + len) != CCP_OK)
    return NULL;
  to = (b->cap ? b->at.far : b->at.local) + b->len;
  b->len += len;
  return to;
}

int ccp_bytes_add(ccp_bytes *b, const void *from, size_t len) {
  unsigned char *to = ccp_bytes_extend(b, len);
  if (!to)
    return CCP_E_NOMEM;
  if (len)
    memcpy(to, from, len);
  return CCP_OK;
}

int ccp_bytes_set_slow(ccp_bytes *b, const void *from, size_t len) {
  ccp_bytes_free(b);
  return ccp_bytes_add(b, from, len);
}
