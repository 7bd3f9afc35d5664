/*
** The shelf lies in the arena, so that process workers born before a function
** was put find it too. Writers are the threads that submit.
*/
#include "pool/funcs.h"

#include <stdatomic.h>
#include <string.h>

#include "os/codes.h"
#include "os/lock.h"
#include "shared/arena.h"

enum { PLACES = 1024, ID_BITS = 20, BYTES_MOST = 64 << 20 };

/* Written once; 'id' last (release), read first (acquire). */
typedef struct place {
  _Atomic uint64_t id;
  uint64_t hash;
  const void *dump; /* owned: an arena block */
  size_t len;
} place;

struct ccp_shelf {
  uint64_t uid;
  ccp_lock lock; /* used by threads of the parent only: no child puts */
  uint32_t used;
  size_t bytes;
  place places[PLACES];
  uint16_t by_hash[2 * PLACES]; /* place + 1, or 0; open addressing */
};

ccp_shelf *ccp_shelf_new(void) {
  static _Atomic uint64_t last_uid;
  ccp_shelf *s = ccp_arena_alloc(sizeof *s, NULL);
  if (!s)
    return NULL;
  memset(s, 0, sizeof *s);
  ccp_lock_init(&s->lock, CCP_RANK_SHELF);
  s->uid = atomic_fetch_add(&last_uid, 1) + 1;
  return s;
}

void ccp_shelf_free(ccp_shelf *s) {
  if (!s)
    return;
  for (uint32_t i = 0; i < s->used; i++) {
    void *block;
    memcpy(&block, &s->places[i].dump, sizeof block); /* const only to users */
    ccp_arena_free(block);
  }
  ccp_arena_free(s);
}

uint64_t ccp_shelf_uid(const ccp_shelf *s) {
  return s->uid;
}

static int keep(ccp_shelf *s, const void *dump, size_t len, uint64_t hash,
                uint32_t at) {
  place *p = &s->places[s->used];
  void *block;
  if (s->used == PLACES || len > BYTES_MOST - s->bytes)
    return CCP_E_FULL;
  block = ccp_arena_alloc(len, NULL);
  if (!block)
    return CCP_E_NOMEM;
  memcpy(block, dump, len);
  p->hash = hash;
  p->dump = block;
  p->len = len;
  s->by_hash[at] = (uint16_t)(s->used + 1);
  s->bytes += len;
  atomic_store_explicit(&p->id, s->uid << ID_BITS | s->used,
                        memory_order_release);
  s->used++;
  return CCP_OK;
}

static int put_locked(ccp_shelf *s, const void *dump, size_t len, uint64_t hash,
                      uint64_t *id) {
  uint32_t at = (uint32_t)hash % (2 * PLACES);
  for (; s->by_hash[at]; at = (at + 1) % (2 * PLACES)) {
    const place *p = &s->places[s->by_hash[at] - 1];
    if (p->hash == hash && p->len == len && memcmp(p->dump, dump, len) == 0) {
      *id = atomic_load_explicit(&p->id, memory_order_relaxed);
      return CCP_OK;
    }
  }
  *id = s->uid << ID_BITS | s->used;
  return keep(s, dump, len, hash, at);
}

int ccp_shelf_put(void *shelf, const void *dump, size_t len, uint64_t hash,
                  uint64_t *id) {
  ccp_shelf *s = shelf;
  int rc;
  ccp_lock_acquire(&s->lock);
  rc = put_locked(s, dump, len, hash, id);
  ccp_lock_release(&s->lock);
  return rc;
}

int ccp_shelf_get(void *shelf, uint64_t id, const void **dump, size_t *len) {
  ccp_shelf *s = shelf;
  uint64_t n = id & (((uint64_t)1 << ID_BITS) - 1);
  const place *p = &s->places[n % PLACES];
  if (n >= PLACES || atomic_load_explicit(&p->id, memory_order_acquire) != id)
    return CCP_E_BADDATA;
  *dump = p->dump;
  *len = p->len;
  return CCP_OK;
}
