/*
** Tasks. No locking here: task.h says what guards which field.
*/
#include "task/task.h"

#include <stdlib.h>
#include <string.h>

#include "os/codes.h"
#include "shared/arena.h"
#include "task/rules.h"

void ccp_task_init(ccp_task *t) {
  memset(t, 0, sizeof *t);
  t->items = t->posted = 1;
  t->slot = -1;
  t->fd = -1;
}

void ccp_task_fini(ccp_task *t) {
  ccp_bytes_free(&t->body);
  ccp_rules_free(t->rules);
  t->rules = NULL;
}

ccp_chunk *ccp_chunk_new(void *owner, uint64_t first, uint32_t items) {
  ccp_chunk *c = calloc(1, sizeof *c);
  if (!c)
    return NULL;
  ccp_task_init(&c->task);
  c->task.is_chunk = 1;
  c->task.owner = owner;
  c->task.items = c->task.posted = c->known = items;
  c->first = first;
  return c;
}

/* Blocks that lie among the replies are owned by them. */
static void free_blocks(const ccp_bytes *replies, size_t at) {
  const unsigned char *p = ccp_bytes_at(replies);
  while (at < replies->len) {
    ccp_item_head h;
    memcpy(&h, p + at, sizeof h);
    at += sizeof h;
    if (h.is_block) {
      void *block;
      memcpy(&block, p + at, sizeof block);
      ccp_arena_free(block);
      at += sizeof block;
    } else
      at += h.len;
  }
}

void ccp_chunk_free(ccp_chunk *c) {
  free_blocks(&c->replies, 0);
  free_blocks(&c->reading, c->at);
  ccp_bytes_free(&c->replies);
  ccp_bytes_free(&c->reading);
  ccp_task_fini(&c->task);
  free(c);
}

/* Where item 'n' of the chunk begins, or its end for n = items. */
static size_t item_offset(const unsigned char *p, uint32_t n) {
  uint32_t len;
  size_t at = 1;
  for (uint32_t i = 0; i <= n; i++) { /* the function counts as the first */
    memcpy(&len, p + at, sizeof len);
    at += sizeof len + len;
  }
  return at;
}

/* A long body lies in a block, where every worker can read it. */
int ccp_chunk_body_part(const ccp_bytes *body, uint32_t from, uint32_t to,
                        ccp_bytes *out) {
  const unsigned char *p = ccp_bytes_at(body);
  size_t items = item_offset(p, 0), begin = item_offset(p, from);
  size_t len = items + item_offset(p, to) - begin;
  unsigned char *at;
  ccp_bytes_init(out);
  if (len > CCP_ANNEX_BYTES) {
    at = ccp_arena_alloc(len, NULL);
    if (at)
      ccp_bytes_adopt(out, at, len);
  } else
    at = ccp_bytes_extend(out, len);
  if (!at)
    return CCP_E_NOMEM;
  memcpy(at, p, items);
  memcpy(at + items, p + begin, len - items);
  return CCP_OK;
}

int ccp_chunk_add_reply(ccp_chunk *c, uint8_t status, const void *p, size_t len,
                        int is_block) {
  uint64_t whole = len;
  size_t size = is_block ? sizeof p : len;
  unsigned char *to;
  if (c->task.status == CCP_R_MEMORY)
    return CCP_E_NOMEM; /* behind a reply that is missing, none has its place */
  to = ccp_bytes_extend(&c->replies, sizeof(ccp_item_head) + size);
  if (!to) {
    c->task.status = CCP_R_MEMORY;
    return CCP_E_NOMEM;
  }
  /* field by field: see write_head in replies.c */
  memcpy(to + offsetof(ccp_item_head, len), &whole, sizeof whole);
  to[offsetof(ccp_item_head, status)] = status;
  to[offsetof(ccp_item_head, is_block)] = (unsigned char)(is_block != 0);
  to += sizeof(ccp_item_head);
  if (is_block)
    memcpy(to, &p, sizeof p);
  else if (len)
    memcpy(to, p, len);
  return CCP_OK;
}
