/*
** Reply rings. put runs in a worker, next and done under the pool's lock.
*/
#include "task/replies.h"

#include <string.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/fault.h"
#include "os/futex.h"
#include "shared/arena.h"

#define RING_MASK ((uint64_t)CCP_RING_BYTES - 1)

/* A record: this head, then 'size' bytes, padded to a multiple of 16. A record
** never wraps: PAD fills the end of the ring. */
typedef struct head {
  uint32_t size;
  uint16_t slot, item, lap;
  uint8_t status, kind;
} head;

enum kind { WHOLE, BLOCK, PAD };

typedef struct block_ref {
  const void *block;
  uint64_t len;
} block_ref;

_Static_assert(sizeof(head) == 12, "a record's head has no holes");

static uint64_t padded(size_t size) {
  return (sizeof(head) + size + 15) & ~(uint64_t)15;
}

static unsigned char *ring_of(const ccp_board *b, uint32_t w) {
  return b->rings + (size_t)w * CCP_RING_BYTES;
}

/* A record may need the ring's rest as padding and as much again. */
int ccp_replies_room(const ccp_board *b, uint32_t me, size_t len) {
  const ccp_record *r = &b->records[me];
  uint64_t head_ = atomic_load_explicit(&r->head, memory_order_relaxed);
  /* seq_cst: pairs with ccp_replies_done (the worker may be about to sleep) */
  uint64_t tail = atomic_load_explicit(&r->tail, memory_order_seq_cst);
  uint64_t rest = CCP_RING_BYTES - (head_ & RING_MASK);
  uint64_t need = padded(len);
  if (need > rest)
    need += rest;
  return CCP_RING_BYTES - (head_ - tail) >= need;
}

int ccp_replies_half(const ccp_board *b, uint32_t me) {
  const ccp_record *r = &b->records[me];
  return atomic_load_explicit(&r->head, memory_order_relaxed) -
             atomic_load_explicit(&r->tail, memory_order_relaxed) >=
         CCP_RING_BYTES / 2;
}

/* Field by field: what is put together elsewhere and copied in larger pieces
** stalls the processor, and this is done for every item. */
static void write_head(unsigned char *to, uint32_t size, const ccp_reply *r,
                       enum kind kind) {
  head *h = (head *)(void *)to; /* records are aligned */
  h->size = size;
  h->slot = r->slot;
  h->item = r->item;
  h->lap = r->lap;
  h->status = r->status;
  h->kind = (uint8_t)kind;
}

void ccp_replies_put(ccp_board *b, uint32_t me, const ccp_reply *r) {
  ccp_record *rec = &b->records[me];
  uint64_t at = atomic_load_explicit(&rec->head, memory_order_relaxed);
  block_ref ref = {r->bytes, r->len};
  uint32_t size = r->is_block ? (uint32_t)sizeof ref : (uint32_t)r->len;
  uint64_t rest = CCP_RING_BYTES - (at & RING_MASK);
  unsigned char *to = ring_of(b, me) + (at & RING_MASK);
  if (padded(size) > rest) {
    write_head(to, (uint32_t)(rest - sizeof(head)), r, PAD);
    to = ring_of(b, me);
    at += rest;
  }
  write_head(to, size, r, r->is_block ? BLOCK : WHOLE);
  if (size)
    memcpy(to + sizeof(head), r->is_block ? (const void *)&ref : r->bytes,
           size);
  CCP_FAULT("written");
  /* seq_cst exchange: the record is visible to who reads this head; and either
  ** the owner, on its way to sleep, sees it, or this worker sees it asleep */
  atomic_exchange_explicit(&rec->head, at + padded(size), memory_order_seq_cst);
}

int ccp_replies_any(const ccp_board *b, uint32_t w) {
  const ccp_record *r = &b->records[w];
  return atomic_load_explicit(&r->head, memory_order_seq_cst) !=
         atomic_load_explicit(&r->tail, memory_order_relaxed);
}

static int bad_record(const head *h, uint64_t left, uint64_t rest) {
  uint64_t whole = padded(h->size);
  return whole > left || whole > rest || h->kind > PAD ||
         (h->kind == BLOCK && h->size != sizeof(block_ref));
}

int ccp_replies_next(const ccp_board *b, uint32_t w, ccp_reader *at,
                     ccp_reply *r) {
  const unsigned char *from;
  head h;
  do {
    uint64_t left = at->head - at->tail;
    if (left == 0) {
      at->head =
          atomic_load_explicit(&b->records[w].head, memory_order_acquire);
      left = at->head - at->tail;
      if (left == 0)
        return CCP_E_FULL;
    }
    if (left > CCP_RING_BYTES || left % 16 != 0)
      return CCP_E_BADDATA;
    from = ring_of(b, w) + (at->tail & RING_MASK);
    memcpy(&h, from, sizeof h);
    if (bad_record(&h, left, CCP_RING_BYTES - (at->tail & RING_MASK)))
      return CCP_E_BADDATA;
    at->tail += padded(h.size);
  } while (h.kind == PAD);
  r->slot = h.slot;
  r->item = h.item;
  r->lap = h.lap;
  r->status = h.status;
  r->is_block = h.kind == BLOCK;
  r->bytes = from + sizeof h;
  r->len = h.size;
  if (r->is_block) {
    block_ref ref;
    memcpy(&ref, r->bytes, sizeof ref);
    if (!ccp_arena_valid(ref.block, (size_t)ref.len))
      return CCP_E_BADDATA;
    r->bytes = ref.block;
    r->len = (size_t)ref.len;
  }
  return CCP_OK;
}

int ccp_replies_peek(const ccp_board *b, uint32_t w, const ccp_reader *at) {
  uint16_t slot;
  if (at->tail == at->head)
    return -1;
  memcpy(&slot, ring_of(b, w) + (at->tail & RING_MASK) + offsetof(head, slot),
         sizeof slot);
  return slot;
}

void ccp_replies_make_room(ccp_board *b, uint32_t w) {
  ccp_record *r = &b->records[w];
  atomic_fetch_add_explicit(&r->room, 1, memory_order_seq_cst);
  ccp_futex_wake(&r->room, 1);
}

/* The count is read before the last look at the ring: a drain after that look
** changes it, and the sleep does not begin. */
void ccp_replies_wait(ccp_board *b, uint32_t me, size_t len) {
  ccp_record *r = &b->records[me];
  uint32_t seen = atomic_load_explicit(&r->room, memory_order_seq_cst);
  if (!ccp_replies_room(b, me, len))
    (void)ccp_futex_wait(&r->room, seen, CCP_NEVER);
}

void ccp_replies_done(ccp_board *b, uint32_t w, const ccp_reader *at) {
  ccp_record *r = &b->records[w];
  /* seq_cst: either the worker sees the room, or its 'full' is seen here */
  atomic_exchange_explicit(&r->tail, at->tail, memory_order_seq_cst);
  if (atomic_load_explicit(&r->full, memory_order_seq_cst))
    ccp_replies_make_room(b, w);
}
