/*
** Dicts: bytes by bytes, for all processes. Open addressing in one table of
** pointers; an entry is an arena block. Each change is one store of a pointer,
** so a process may die anywhere in here; the counts are made anew by the
** repair.
*/
#ifndef CCP_SHARED_DICT_H
#define CCP_SHARED_DICT_H

#include "shared/latch.h"

typedef struct ccp_dict_entry ccp_dict_entry;
typedef struct ccp_dict_table ccp_dict_table;

typedef struct ccp_dict {
  ccp_object object;
  /* who changes entries holds it, also from Lua: update is a get and a set */
  ccp_latch latch;
  /* under the object's mutex */
  ccp_dict_table *table; /* owned; NULL while empty */
  ccp_dict_entry *loose; /* an entry that is in the table or is to be freed */
  uint64_t n;            /* entries */
  uint64_t used;         /* places that are not fresh: entries and gaps */
} ccp_dict;

ccp_dict *ccp_dict_new(void);

/* A run of bytes that the caller owns. names: object names at the end of a
** value, counted in len; the caller holds these objects. While a value is in
** the table it keeps what it names: see shared/keeping.h. */
typedef struct ccp_dict_bytes {
  const void *p;
  size_t len;
  uint32_t names;
} ccp_dict_bytes;

/* Sets or, without a value, deletes. CCP_OK or CCP_E_NOMEM: nothing has
** changed. *had: there was one. */
int ccp_dict_set(ccp_dict *d, ccp_dict_bytes key, const ccp_dict_bytes *value,
                 int *had);

enum { CCP_DICT_NONE = -1, CCP_DICT_NOMEM = -2 };

/* Gives the value's length, or CCP_DICT_NONE, and copies it if it fits: the
** caller tries again with more room. If it fits and *names objects, the caller
** is to ccp_keeping_release them; CCP_DICT_NOMEM: for handles of these. */
long long ccp_dict_get(ccp_dict *d, ccp_dict_bytes key, void *room, size_t cap,
                       uint32_t *names);

/* The key of the first entry at place *at or behind it, copied if it fits;
** moves *at behind it. CCP_DICT_NONE: no more. */
long long ccp_dict_next(ccp_dict *d, uint64_t *at, void *room, size_t cap);
uint64_t ccp_dict_size(ccp_dict *d);

#endif
