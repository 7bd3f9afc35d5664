/*
** What one message has already sent, by address; see memo.h. One thread.
*/
#include "codec/memo.h"

#include <stdlib.h>
#include <string.h>

#include "os/codes.h"

enum {
  FIRST_SIZE = 32,     /* entries a message starts with */
  KEPT_ROOM = 1 << 17, /* entries kept between messages at most */
  FAST_UNTIL = 8192,   /* entries: up to here a table grows fourfold */
  WORD_SHIFT = 16
};

static size_t place(const void *key, size_t mask) {
  uint64_t h = (uint64_t)(uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15);
  return (size_t)(h >> 20) & mask;
}

/* A fresh stamp makes every entry empty; when stamps run out, for real. */
static void restamp(ccp_memo *m) {
  if (++m->stamp == 0) {
    if (m->room > 0)
      memset(m->entries, 0, m->room * sizeof *m->entries);
    m->stamp = 1;
  }
}

static ccp_memo_entry *probe(const ccp_memo *m, const void *key) {
  size_t i = place(key, m->mask);
  for (;; i = (i + 1) & m->mask) {
    ccp_memo_entry *e = &m->entries[i];
    if ((uint16_t)e->word != m->stamp || e->key == key)
      return e;
  }
}

static void fill(ccp_memo *m, ccp_memo_entry *e, const void *key,
                 uint64_t value) {
  e->key = key;
  e->word = value << WORD_SHIFT | m->stamp;
}

static int enlarge(ccp_memo *m, size_t room) {
  if (room <= m->room)
    return CCP_OK;
  if (room > SIZE_MAX / sizeof *m->entries)
    return CCP_E_NOMEM;
  ccp_memo_entry *e = realloc(m->entries, room * sizeof *e);
  if (e == NULL)
    return CCP_E_NOMEM;
  memset(e + m->room, 0, (room - m->room) * sizeof *e);
  m->entries = e;
  m->room = room;
  return CCP_OK;
}

/* A larger table in the same memory: the old entries step aside, behind the new
** table, and come back under a new stamp. */
static int grow(ccp_memo *m) {
  size_t old = m->used > 0 ? m->mask + 1 : 0;
  size_t size = old == 0 ? FIRST_SIZE : old < FAST_UNTIL ? old * 4 : old * 2;
  int rc = enlarge(m, size + old);
  if (rc != CCP_OK)
    return rc;
  uint16_t stamp = m->stamp;
  ccp_memo_entry *from = m->entries + size;
  if (old > 0)
    memcpy(from, m->entries, old * sizeof *from);
  if (++m->stamp == 0) { /* wipe all but what is still needed */
    memset(m->entries, 0, size * sizeof *from);
    memset(from + old, 0, (m->room - size - old) * sizeof *from);
    m->stamp = 1;
  }
  m->mask = size - 1;
  for (size_t i = 0; i < old; i++) {
    if ((uint16_t)from[i].word == stamp)
      fill(m, probe(m, from[i].key), from[i].key, from[i].word >> WORD_SHIFT);
    from[i].word = 0;
  }
  return CCP_OK;
}

void ccp_memo_init(ccp_memo *m) {
  memset(m, 0, sizeof *m);
  m->stamp = 1;
}

void ccp_memo_fini(ccp_memo *m) {
  free(m->entries);
  ccp_memo_init(m);
}

/* The next message is likely to hold as much as this one: a table of that size
** need not grow on the way. */
void ccp_memo_clear(ccp_memo *m) {
  size_t size = FIRST_SIZE;
  if (m->room > KEPT_ROOM)
    ccp_memo_fini(m);
  else if (m->used > 0)
    restamp(m);
  while (size <= m->room / 2 && m->used > (size - 1) / 4 * 3)
    size *= 2;
  m->used = 0;
  m->mask = size - 1;
}

int ccp_memo_add(ccp_memo *m, const void *key, uint64_t value,
                 uint64_t *found) {
  if (m->room == 0 || m->used > m->mask / 4 * 3) {
    int rc = grow(m);
    if (rc != CCP_OK)
      return rc;
  }
  ccp_memo_entry *e = probe(m, key);
  if ((uint16_t)e->word == m->stamp) {
    *found = e->word >> WORD_SHIFT;
    return 1;
  }
  fill(m, e, key, value);
  m->used++;
  return 0;
}

void ccp_memo_fetch(const ccp_memo *m, const void *key) {
  if (m->room > 0)
    __builtin_prefetch(&m->entries[place(key, m->mask)], 1);
}

int ccp_memo_has(const ccp_memo *m, const void *key) {
  return m->used > 0 && (uint16_t)probe(m, key)->word == m->stamp;
}

uint64_t ccp_memo_value(const ccp_memo *m, const void *key) {
  return probe(m, key)->word >> 16;
}

void ccp_memo_set(ccp_memo *m, const void *key, uint64_t value) {
  fill(m, probe(m, key), key, value);
}

void ccp_strs_init(ccp_strs *s) {
  memset(s, 0, sizeof *s);
  s->stamp = 1;
}

void ccp_strs_clear(ccp_strs *s, int message_begins) {
  if (++s->stamp == 0) {
    memset(s->map, 0, sizeof s->map);
    s->stamp = 1;
  }
  if (message_begins)
    s->next = 0;
}

/* Takes the next slot for entry i, from its owner if it still has it. */
static int take_slot(ccp_strs *s, uint16_t i) {
  uint16_t slot = (uint16_t)(s->next % CCP_STR_SLOTS);
  if (s->next >= CCP_STR_SLOTS) {
    uint16_t loser = s->owner[slot];
    if (loser != i && s->map[loser].slot == slot)
      s->map[loser].stamp = 0;
  }
  s->next++;
  s->owner[slot] = i;
  s->map[i].slot = slot;
  return CCP_STR_DEFINE;
}

/* How much is lost when entry i is taken: 0: nothing, 2: a slot. */
static int worth(const ccp_strs *s, uint16_t i) {
  if (s->map[i].stamp != s->stamp)
    return 0;
  return s->map[i].slot == CCP_STR_SEEN ? 1 : 2;
}

int ccp_strs_find(ccp_strs *s, const void *key, int hot) {
  uint16_t i = (uint16_t)ccp_strs_place(key);
  for (int way = 0; way < 2; way++, i ^= 1)
    if (s->map[i].key == key && s->map[i].stamp == s->stamp) {
      uint16_t slot = s->map[i].slot;
      return slot != CCP_STR_SEEN ? slot : take_slot(s, i);
    }
  if (worth(s, i ^ 1) < worth(s, i))
    i ^= 1;
  /* What comes once must not push out what comes often. */
  if (!hot && worth(s, i) == 2)
    return CCP_STR_PLAIN;
  s->map[i].key = key;
  s->map[i].stamp = s->stamp;
  s->map[i].slot = CCP_STR_SEEN;
  return hot ? take_slot(s, i) : CCP_STR_PLAIN;
}
