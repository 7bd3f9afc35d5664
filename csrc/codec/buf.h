/*
** A growing run of bytes. One owner, one thread at a time; nothing here
** touches Lua or blocks.
*/
#ifndef CCP_CODEC_BUF_H
#define CCP_CODEC_BUF_H

#include <stddef.h>

/* Where a buffer that has grown large gets its memory, so that the bytes need
** not be copied once more to where they are to go. */
typedef struct ccp_buf_blocks {
  size_t from; /* bytes: smaller buffers are malloc'ed */
  void *ud;    /* borrowed: handed to both */
  /* A block of at least 'len' bytes, *room its real size; or NULL. */
  void *(*take)(void *ud, size_t len, size_t *room);
  void (*give)(void *ud, void *block);
} ccp_buf_blocks;

typedef struct ccp_buf {
  unsigned char *data; /* owned, malloc or a block; NULL while cap is 0 */
  size_t len;          /* bytes in use */
  size_t cap;          /* bytes allocated */
  const ccp_buf_blocks *blocks; /* borrowed; NULL: always malloc */
  int is_block;
} ccp_buf;

/* Makes an empty buffer that owns no memory yet. */
void ccp_buf_init(ccp_buf *b);

/* Frees the memory; the buffer is empty and usable again. */
void ccp_buf_fini(ccp_buf *b);

/* Room for `extra` more bytes behind len; grows by half at least, so that
** appending costs a constant per byte. CCP_OK, or CCP_E_NOMEM and nothing
** has changed. */
int ccp_buf_reserve(ccp_buf *b, size_t extra);

/* Appends the n bytes at p (not inside the buffer itself). CCP_OK, or
** CCP_E_NOMEM and nothing has changed. */
int ccp_buf_put(ccp_buf *b, const void *p, size_t n);

/* Gives memory back down to max(keep, len) bytes when more is held. If the
** allocator refuses, the buffer stays as it is. */
void ccp_buf_trim(ccp_buf *b, size_t keep);

/* Gives up the block that holds the bytes, which is the caller's from now on,
** and is empty; NULL if they are in no block. */
void *ccp_buf_detach(ccp_buf *b);

/* Forgets the bytes and keeps the memory. */
static inline void ccp_buf_reset(ccp_buf *b) {
  b->len = 0;
}

/* Where the next bytes go, with room for n of them, or NULL without memory.
** The caller writes and then moves len itself. */
static inline unsigned char *ccp_buf_room(ccp_buf *b, size_t n) {
  if (b->cap - b->len < n && ccp_buf_reserve(b, n) != 0)
    return NULL;
  return b->data + b->len;
}

#endif
