/*
** Tasks that wait for room on the board: higher priorities first, each level
** in the order of submit. The pool's lock guards it.
*/
#ifndef CCP_TASK_BACKLOG_H
#define CCP_TASK_BACKLOG_H

#include <stddef.h>

#include "task/list.h"

typedef struct ccp_level {
  int32_t priority;
  ccp_task_list list;
} ccp_level;

typedef struct ccp_backlog {
  ccp_level *levels; /* owned; highest first */
  size_t level_n;
  uint32_t n; /* tasks in all */
} ccp_backlog;

void ccp_backlog_init(ccp_backlog *b);
void ccp_backlog_fini(ccp_backlog *b);

/* Makes sure that tasks of that priority can be put in. CCP_OK, CCP_E_NOMEM. */
int ccp_backlog_prepare(ccp_backlog *b, int32_t priority);
/* Behind, or before, the others of its priority, which was prepared. */
void ccp_backlog_append(ccp_backlog *b, ccp_task *t);
void ccp_backlog_push_front(ccp_backlog *b, ccp_task *t);
void ccp_backlog_remove(ccp_backlog *b, ccp_task *t);
/* The task that comes next, or NULL. */
ccp_task *ccp_backlog_head(const ccp_backlog *b);

#endif
