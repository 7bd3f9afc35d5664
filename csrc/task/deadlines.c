/*
** Deadlines. No locking here.
*/
#include "task/deadlines.h"

#include <stdlib.h>
#include <string.h>

#include "os/codes.h"

void ccp_deadlines_init(ccp_deadlines *d) {
  memset(d, 0, sizeof *d);
}

void ccp_deadlines_fini(ccp_deadlines *d) {
  free(d->heap);
  ccp_deadlines_init(d);
}

static void put(ccp_deadlines *d, size_t at, ccp_rules *r) {
  d->heap[at] = r;
  r->heap_at = at + 1;
}

static void rise(ccp_deadlines *d, size_t at, ccp_rules *r) {
  while (at > 0) {
    size_t up = (at - 1) / 2;
    if (d->heap[up]->deadline_ns <= r->deadline_ns)
      break;
    put(d, at, d->heap[up]);
    at = up;
  }
  put(d, at, r);
}

static void sink(ccp_deadlines *d, size_t at, ccp_rules *r) {
  for (;;) {
    size_t down = 2 * at + 1;
    if (down + 1 < d->n &&
        d->heap[down + 1]->deadline_ns < d->heap[down]->deadline_ns)
      down++;
    if (down >= d->n || d->heap[down]->deadline_ns >= r->deadline_ns)
      break;
    put(d, at, d->heap[down]);
    at = down;
  }
  put(d, at, r);
}

int ccp_deadlines_add(ccp_deadlines *d, ccp_rules *r) {
  if (d->n == d->room) {
    size_t room = d->room ? 2 * d->room : 64;
    ccp_rules **grown = realloc(d->heap, room * sizeof *grown);
    if (!grown)
      return CCP_E_NOMEM;
    d->heap = grown;
    d->room = room;
  }
  d->n++;
  rise(d, d->n - 1, r);
  return CCP_OK;
}

void ccp_deadlines_remove(ccp_deadlines *d, ccp_rules *r) {
  size_t at = r->heap_at;
  ccp_rules *last;
  if (at == 0)
    return;
  r->heap_at = 0;
  last = d->heap[--d->n];
  if (last == r)
    return;
  at--;
  if (at > 0 && d->heap[(at - 1) / 2]->deadline_ns > last->deadline_ns)
    rise(d, at, last);
  else
    sink(d, at, last);
}
