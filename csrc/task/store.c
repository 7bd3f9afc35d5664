/*
** Tasks by number. Every function runs in the Lua thread that owns the store.
*/
#include "task/store.h"

#include <stdlib.h>

#include "os/codes.h"
#include "task/rules.h"

enum { SLAB = 256 }; /* tasks allocated at once */

void ccp_store_init(ccp_store *s) {
  s->slabs = NULL;
  s->slab_n = 0;
  s->free = NULL;
}

void ccp_store_fini(ccp_store *s) {
  for (uint32_t i = 0; i < s->slab_n; i++) {
    for (uint32_t k = 0; k < SLAB; k++)
      ccp_task_fini(&s->slabs[i][k]);
    free(s->slabs[i]);
  }
  free(s->slabs);
  ccp_store_init(s);
}

/* The list of slabs grows by doubling, when its length is a power of two. */
static int room_for_slab(ccp_store *s) {
  ccp_task **grown;
  if (s->slab_n & (s->slab_n - 1))
    return CCP_OK;
  grown = realloc(s->slabs, (s->slab_n ? 2 * s->slab_n : 1) * sizeof *grown);
  if (!grown)
    return CCP_E_NOMEM;
  s->slabs = grown;
  return CCP_OK;
}

static int add_slab(ccp_store *s) {
  ccp_task *slab;
  if (room_for_slab(s) != CCP_OK)
    return CCP_E_NOMEM;
  slab = malloc(SLAB * sizeof *slab);
  if (!slab)
    return CCP_E_NOMEM;
  for (uint32_t k = SLAB; k-- > 0;) { /* the lowest number comes first */
    ccp_task_init(&slab[k]);
    slab[k].id = s->slab_n * SLAB + k + 1;
    slab[k].next = s->free;
    s->free = &slab[k];
  }
  s->slabs[s->slab_n++] = slab;
  return CCP_OK;
}

ccp_task *ccp_store_take(ccp_store *s) {
  ccp_task *t;
  if (!s->free && add_slab(s) != CCP_OK)
    return NULL;
  t = s->free;
  s->free = t->next;
  return t;
}

/* Only what a single call changes is put back. */
void ccp_store_give(ccp_store *s, ccp_task *t) {
  if (t->body.cap)
    ccp_bytes_free(&t->body);
  t->body.len = 0;
  t->done = 0;
  t->fd = -1;
  t->slot = -1;
  t->state = CCP_T_NEW;
  t->final = 0;
  t->looped = 0;
  t->submitted_ns = 0;
  t->worker = 0;
  t->pid = 0;
  if (t->rules) {
    ccp_rules_free(t->rules);
    t->rules = NULL;
  }
  t->next = s->free;
  s->free = t;
}
