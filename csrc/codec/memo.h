/*
** What one message has already sent: objects by address, and short strings by
** address. Plain C memory, kept from message to message and cleared by a stamp,
** so that a message pays only for what it holds. The caller keeps the objects
** alive while their addresses stand here. One thread at a time.
*/
#ifndef CCP_CODEC_MEMO_H
#define CCP_CODEC_MEMO_H

#include <stddef.h>
#include <stdint.h>

#include "codec/wire.h"

typedef struct ccp_memo_entry {
  const void *key;
  uint64_t word; /* value << 16 | stamp; another stamp: empty */
} ccp_memo_entry;

typedef struct ccp_memo {
  ccp_memo_entry *entries; /* owned */
  size_t room;             /* entries allocated */
  size_t mask;             /* entries in use as a table, less 1 */
  size_t used;
  uint16_t stamp; /* of this message; never 0 */
} ccp_memo;

void ccp_memo_init(ccp_memo *m);
void ccp_memo_fini(ccp_memo *m);

/* Empties it for a new message; large memory is given back. */
void ccp_memo_clear(ccp_memo *m);

/* The value (48 bits) kept under key, which is put there as `value` if it is
** new. Returns 1 and *found if it was there, 0 if it is new, or CCP_E_NOMEM. */
int ccp_memo_add(ccp_memo *m, const void *key, uint64_t value, uint64_t *found);

/* It is asked for soon: only sooner. */
void ccp_memo_fetch(const ccp_memo *m, const void *key);

/* Is that key there? */
int ccp_memo_has(const ccp_memo *m, const void *key);
/* The value of a key that is there. */
uint64_t ccp_memo_value(const ccp_memo *m, const void *key);

/* Changes the value of a key that is there. */
void ccp_memo_set(ccp_memo *m, const void *key, uint64_t value);

/* Short strings: which slot holds which address. */
enum { CCP_STR_MAP = 256, CCP_STR_SEEN = 0xffff };

typedef struct ccp_strs {
  struct {
    const void *key; /* borrowed: an interned string, as lua_topointer says */
    uint32_t stamp;  /* another stamp: empty */
    uint16_t slot;   /* CCP_STR_SEEN: sent once, has no slot yet */
  } map[CCP_STR_MAP];
  uint16_t owner[CCP_STR_SLOTS]; /* which map entry holds a slot */
  uint32_t stamp;                /* never 0 */
  uint64_t next;                 /* slots taken so far, all in turn */
} ccp_strs;

void ccp_strs_init(ccp_strs *s);

/* Empties it. `taken` must be false within one message: slots go on in turn
** when only the addresses are to be forgotten. */
void ccp_strs_clear(ccp_strs *s, int message_begins);

/* How to send the short string at this address: the slot it has (>= 0), or
** CCP_STR_PLAIN, or CCP_STR_DEFINE: in full, and it takes the next slot. A
** string gets its slot at once if `hot` (a key), else when it comes again. */
enum { CCP_STR_PLAIN = -1, CCP_STR_DEFINE = -2 };
int ccp_strs_find(ccp_strs *s, const void *key, int hot);

static inline unsigned ccp_strs_place(const void *key) {
  uint64_t h = (uint64_t)(uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15);
  return (unsigned)(h >> 40) % CCP_STR_MAP;
}

/* The slot that the object at this address has, or -1. */
static inline int ccp_strs_slot(const ccp_strs *s, const void *key) {
  unsigned i = ccp_strs_place(key);
  if (s->map[i].key != key)
    i ^= 1;
  return s->map[i].key == key && s->map[i].stamp == s->stamp &&
                 s->map[i].slot != CCP_STR_SEEN
             ? s->map[i].slot
             : -1;
}

#endif
