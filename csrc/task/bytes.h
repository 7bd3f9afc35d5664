/*
** Some bytes with one owner: in place when few, else malloc'ed or an arena
** block.
*/
#ifndef CCP_TASK_BYTES_H
#define CCP_TASK_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { CCP_TASK_BYTES = 32 }; /* bodies and replies up to this need no malloc */

typedef struct ccp_bytes {
  size_t len, cap; /* cap 0: in 'local'; SIZE_MAX: an arena block */
  union {
    unsigned char local[CCP_TASK_BYTES];
    unsigned char *far;
  } at;
} ccp_bytes;

void ccp_bytes_init(ccp_bytes *b);
void ccp_bytes_free(ccp_bytes *b);
/* Copies 'len' bytes in; what it held is freed. CCP_OK or CCP_E_NOMEM (then it
** is empty). */
int ccp_bytes_set_slow(ccp_bytes *b, const void *from, size_t len);
static inline int ccp_bytes_set(ccp_bytes *b, const void *from, size_t len) {
  if (b->cap || len > CCP_TASK_BYTES)
    return ccp_bytes_set_slow(b, from, len);
  b->len = len;
  if (len)
    memcpy(b->at.local, from, len);
  return 0;
}
/* Takes an arena block over. */
void ccp_bytes_adopt(ccp_bytes *b, void *block, size_t len);
/* Adds 'len' bytes. CCP_OK or CCP_E_NOMEM (unchanged). Not for blocks. */
int ccp_bytes_add(ccp_bytes *b, const void *from, size_t len);
/* Makes room for 'len' more bytes and returns where they go, or NULL. */
unsigned char *ccp_bytes_extend(ccp_bytes *b, size_t len);
static inline const unsigned char *ccp_bytes_at(const ccp_bytes *b) {
  return b->cap ? b->at.far : b->at.local;
}
static inline int ccp_bytes_is_block(const ccp_bytes *b) {
  return b->cap == SIZE_MAX;
}

#endif
