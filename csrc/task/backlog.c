/*
** The backlog. No locking here.
**
** A level stays once it was used, up to a bound, so that putting a task back
** needs no memory: nothing may fail there.
*/
#include "task/backlog.h"

#include <stdlib.h>
#include <string.h>

#include "os/codes.h"
#include "task/rules.h"

void ccp_backlog_init(ccp_backlog *b) {
  memset(b, 0, sizeof *b);
}

void ccp_backlog_fini(ccp_backlog *b) {
  free(b->levels);
  ccp_backlog_init(b);
}

/* Where that priority stands, or has to be put. */
static size_t place(const ccp_backlog *b, int32_t priority) {
  size_t low = 0, high = b->level_n;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (b->levels[middle].priority > priority)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

int ccp_backlog_prepare(ccp_backlog *b, int32_t priority) {
  size_t at = place(b, priority);
  ccp_level *grown;
  if (at < b->level_n && b->levels[at].priority == priority)
    return CCP_OK;
  grown = realloc(b->levels, (b->level_n + 1) * sizeof *grown);
  if (!grown)
    return CCP_E_NOMEM;
  b->levels = grown;
  memmove(&grown[at + 1], &grown[at], (b->level_n - at) * sizeof *grown);
  memset(&grown[at], 0, sizeof grown[at]);
  grown[at].priority = priority;
  b->level_n++;
  return CCP_OK;
}

static ccp_task_list *list_of(ccp_backlog *b, const ccp_task *t) {
  return &b->levels[place(b, ccp_task_priority(t))].list;
}

void ccp_backlog_append(ccp_backlog *b, ccp_task *t) {
  ccp_list_append(list_of(b, t), t);
  b->n++;
}

void ccp_backlog_push_front(ccp_backlog *b, ccp_task *t) {
  ccp_list_push_front(list_of(b, t), t);
  b->n++;
}

void ccp_backlog_remove(ccp_backlog *b, ccp_task *t) {
  ccp_list_remove(list_of(b, t), t);
  b->n--;
}

ccp_task *ccp_backlog_head(const ccp_backlog *b) {
  if (b->n == 0)
    return NULL;
  for (size_t i = 0; i < b->level_n; i++)
    if (b->levels[i].list.head)
      return b->levels[i].list.head;
  return NULL;
}
