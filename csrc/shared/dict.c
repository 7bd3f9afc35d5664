/*
** Dicts. Any thread of any process.
*/
#include "shared/dict.h"

#include <string.h>

#include "os/codes.h"
#include "os/fault.h"
#include "shared/arena.h"
#include "shared/keeping.h"

enum {
  PLACES_LEAST = 6
}; /* with the arena's header and ours: a block of 128 */

struct ccp_dict_entry {
  uint64_t hash;
  uint64_t value_len;
  uint32_t key_len, names;
  unsigned char bytes[]; /* the key, then the value */
};

struct ccp_dict_table {
  uint64_t places; /* no power of two: what a block has room for */
  ccp_dict_entry *at[];
};

/* Marks a place whose entry was deleted: an address no entry has. */
#define GAP ((ccp_dict_entry *)(uintptr_t)1)

static ccp_dict *of(ccp_object *o) {
  return (ccp_dict *)(void *)o;
}

static unsigned is_entry(const ccp_dict_entry *e) {
  return e && e != GAP;
}

/* FNV-1a, and a last mix, for the places are found by the low bits. */
static uint64_t hash_of(const ccp_dict_bytes *key) {
  const unsigned char *p = key->p;
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < key->len; i++)
    h = (h ^ p[i]) * 0x100000001b3u;
  h ^= h >> 32;
  h *= 0x9e3779b97f4a7c15u;
  return h ^ (h >> 29);
}

/* ------------------------------------------------------------ the mutex */

/* What is loose and not in the table was on its way in or out. */
static void dict_repair(ccp_object *o) {
  ccp_dict *d = of(o);
  ccp_dict_entry *loose = d->loose;
  d->n = d->used = 0;
  for (uint64_t i = 0; d->table && i < d->table->places; i++) {
    const ccp_dict_entry *e = d->table->at[i];
    d->used += e != NULL;
    d->n += is_entry(e);
    if (e == loose)
      loose = NULL;
  }
  d->loose = NULL;
  ccp_arena_free(loose);
}

static void dict_left(ccp_object *o, uint32_t member, int died) {
  (void)died;
  ccp_latch_left(&of(o)->latch, member);
}

static const unsigned char *end_of(const ccp_dict_entry *e) {
  return e->bytes + e->key_len + e->value_len;
}

static void dict_names(ccp_object *o,
                       void (*f)(const unsigned char *end, uint32_t n)) {
  const ccp_dict_table *t = of(o)->table;
  for (uint64_t i = 0; t && i < t->places; i++)
    if (is_entry(t->at[i]) && t->at[i]->names)
      f(end_of(t->at[i]), t->at[i]->names);
}

static void dict_fini(ccp_object *o) {
  ccp_dict *d = of(o);
  ccp_dict_table *t = d->table;
  ccp_dict_entry *loose = d->loose;
  d->loose = NULL;
  ccp_arena_free(loose);
  for (uint64_t i = 0; t && i < t->places; i++) {
    ccp_dict_entry *e = t->at[i];
    t->at[i] = NULL;
    if (!is_entry(e))
      continue;
    if (e->names)
      ccp_keeping_gone(end_of(e), e->names);
    ccp_arena_free(e);
  }
  d->table = NULL;
  ccp_arena_free(t);
}

const ccp_object_ops ccp_dict_ops = {dict_repair, dict_left, dict_fini,
                                     dict_names};

ccp_dict *ccp_dict_new(void) {
  return ccp_object_new(CCP_K_DICT, sizeof(ccp_dict));
}

/* ------------------------------------------------------------ the table */

static int same_key(const ccp_dict_entry *e, uint64_t hash,
                    const ccp_dict_bytes *key) {
  return e->hash == hash && e->key_len == key->len &&
         memcmp(e->bytes, key->p, key->len) == 0;
}

/* The key's place, or where it could be put (a fresh place or a gap); NULL: the
** table is full, or there is none. */
static ccp_dict_entry **find(ccp_dict *d, uint64_t hash,
                             const ccp_dict_bytes *key) {
  ccp_dict_entry **room = NULL;
  ccp_dict_table *t = d->table;
  if (!t)
    return NULL;
  for (uint64_t i = 0, at = hash % t->places; i < t->places; i++) {
    ccp_dict_entry **p = &t->at[at];
    if (!*p)
      return room ? room : p;
    if (*p == GAP)
      room = room ? room : p;
    else if (same_key(*p, hash, key))
      return p;
    at = at + 1 == t->places ? 0 : at + 1;
  }
  return room;
}

static void move_entries(ccp_dict_table *to, const ccp_dict_table *from) {
  for (uint64_t i = 0; from && i < from->places; i++) {
    ccp_dict_entry *e = from->at[i];
    uint64_t at;
    if (!is_entry(e))
      continue;
    for (at = e->hash % to->places; to->at[at];)
      at = at + 1 == to->places ? 0 : at + 1;
    to->at[at] = e;
  }
}

/* A table of about twice as many places as there are to be entries. The old one
** stays whole until the new one takes its place. */
static int rebuild(ccp_dict *d, uint64_t n) {
  ccp_dict_table *old = d->table, *t;
  uint64_t places = 2 * n > PLACES_LEAST ? 2 * n : PLACES_LEAST;
  t = ccp_arena_alloc_zeroed(sizeof *t + places * sizeof t->at[0]);
  if (!t)
    return CCP_E_NOMEM;
  t->places = places;
  move_entries(t, old);
  d->table = t;
  d->used = d->n;
  ccp_arena_free(old);
  return CCP_OK;
}

static int make_room(ccp_dict *d) {
  uint64_t places = d->table ? d->table->places : 0;
  return (d->used + 1) * 4 > places * 3 ? rebuild(d, d->n + 1 + d->n / 2)
                                        : CCP_OK;
}

static ccp_dict_entry *new_entry(const ccp_dict_bytes *key, uint64_t hash,
                                 const ccp_dict_bytes *value) {
  ccp_dict_entry *e = ccp_arena_alloc(sizeof *e + key->len + value->len, NULL);
  if (!e)
    return NULL;
  e->hash = hash;
  e->key_len = (uint32_t)key->len;
  e->value_len = value->len;
  e->names = value->names;
  memcpy(e->bytes, key->p, key->len);
  memcpy(e->bytes + key->len, value->p, value->len);
  return e;
}

/* What is taken out is loose until it is freed. */
static ccp_dict_entry *put(ccp_dict *d, ccp_dict_entry **place,
                           ccp_dict_entry *e) {
  ccp_dict_entry *old = *place;
  d->loose = e;
  if (!old)
    d->used++;
  if (!is_entry(old))
    d->n++;
  CCP_FAULT("keep");
  *place = e;
  CCP_FAULT("keep");
  d->loose = is_entry(old) ? old : NULL;
  return d->loose;
}

static ccp_dict_entry *take_out(ccp_dict *d, ccp_dict_entry **place) {
  ccp_dict_entry *old = *place;
  d->loose = old;
  CCP_FAULT("keep");
  *place = GAP;
  CCP_FAULT("keep");
  d->n--;
  if (d->table->places > 64 && d->n * 8 < d->table->places)
    (void)rebuild(d, d->n + d->n / 2); /* without memory it stays as it is */
  return old;
}

/* What is to be done to an entry. */
typedef struct change {
  ccp_dict_bytes key;
  uint64_t hash;
  ccp_dict_entry *fresh; /* NULL: deletes */
  ccp_dict_entry *old;   /* what was taken out, is to be freed */
  int named;             /* with the directory's mutex */
  int had;
} change;

/* CCP_OK, CCP_E_NOMEM; CCP_E_NOTHELD: the old value names objects, so the
** directory's mutex is needed; nothing has changed then, nor for want of
** memory. */
static int apply(ccp_dict *d, change *c) {
  ccp_dict_entry **place;
  int rc = c->fresh ? make_room(d) : CCP_OK;
  if (rc != CCP_OK)
    return rc;
  place = find(d, c->hash, &c->key);
  c->had = place && is_entry(*place);
  if (c->had && (*place)->names && !c->named)
    return CCP_E_NOTHELD;
  if (c->had && (*place)->names &&
      ccp_keeping_hand(end_of(*place), (*place)->names) != CCP_OK)
    return CCP_E_NOMEM;
  if (place && c->fresh)
    c->old = put(d, place, c->fresh);
  else if (c->had)
    c->old = take_out(d, place);
  return CCP_OK;
}

static void count_named(const change *c) {
  if (c->fresh && c->fresh->names)
    ccp_keeping_stored(end_of(c->fresh), c->fresh->names);
  if (c->old && c->old->names)
    ccp_keeping_dropped(end_of(c->old), c->old->names);
}

int ccp_dict_set(ccp_dict *d, ccp_dict_bytes key, const ccp_dict_bytes *value,
                 int *had) {
  change c = {key, hash_of(&key), NULL, NULL, 0, 0};
  int rc = CCP_OK;
  if (value)
    c.fresh = new_entry(&key, c.hash, value);
  if (value && !c.fresh)
    return CCP_E_NOMEM;
  do {
    c.named = rc == CCP_E_NOTHELD || (value && value->names > 0);
    if (c.named)
      ccp_keeping_begin();
    ccp_object_lock(&d->object);
    rc = apply(d, &c);
    if (c.named && rc == CCP_OK)
      count_named(&c);
    d->loose = NULL;
    ccp_object_unlock(&d->object);
    if (c.named)
      ccp_keeping_end();
  } while (rc == CCP_E_NOTHELD);
  *had = c.had;
  if (rc != CCP_OK)
    ccp_arena_free(c.fresh);
  if (c.old && c.old->names)
    ccp_keeping_release(end_of(c.old), c.old->names);
  ccp_arena_free(c.old);
  return rc;
}

/* Without the directory's mutex, a value that names objects is left alone:
** *names tells. */
static long long get_now(ccp_dict *d, const ccp_dict_bytes *key, uint64_t hash,
                         void *room, size_t cap, int named, uint32_t *names) {
  ccp_dict_entry **place = find(d, hash, key);
  const ccp_dict_entry *e = place && is_entry(*place) ? *place : NULL;
  *names = e ? e->names : 0;
  if (!e)
    return CCP_DICT_NONE;
  if (e->value_len > cap || (*names && !named))
    return (long long)e->value_len;
  if (*names && ccp_keeping_hand(end_of(e), *names) != CCP_OK)
    return CCP_DICT_NOMEM;
  memcpy(room, e->bytes + e->key_len, e->value_len);
  return (long long)e->value_len;
}

long long ccp_dict_get(ccp_dict *d, ccp_dict_bytes key, void *room, size_t cap,
                       uint32_t *names) {
  uint64_t hash = hash_of(&key);
  int named = 0, again;
  long long len;
  do {
    if (named)
      ccp_keeping_begin();
    ccp_object_lock(&d->object);
    len = get_now(d, &key, hash, room, cap, named, names);
    ccp_object_unlock(&d->object);
    if (named)
      ccp_keeping_end();
    again = !named && *names && len <= (long long)cap;
    named = again;
  } while (again);
  return len;
}

long long ccp_dict_next(ccp_dict *d, uint64_t *at, void *room, size_t cap) {
  long long len = CCP_DICT_NONE;
  ccp_object_lock(&d->object);
  while (d->table && *at < d->table->places && !is_entry(d->table->at[*at]))
    ++*at;
  if (d->table && *at < d->table->places) {
    const ccp_dict_entry *e = d->table->at[*at];
    len = e->key_len;
    if (e->key_len <= cap) {
      memcpy(room, e->bytes, e->key_len);
      ++*at;
    }
  }
  ccp_object_unlock(&d->object);
  return len;
}

uint64_t ccp_dict_size(ccp_dict *d) {
  uint64_t n;
  ccp_object_lock(&d->object);
  n = d->n;
  ccp_object_unlock(&d->object);
  return n;
}
