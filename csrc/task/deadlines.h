/*
** Tasks by their deadline: a heap, each task's rules knowing its place. The
** pool's lock guards it.
*/
#ifndef CCP_TASK_DEADLINES_H
#define CCP_TASK_DEADLINES_H

#include <stddef.h>

#include "task/rules.h"

typedef struct ccp_deadlines {
  ccp_rules **heap; /* owned; what it points to is borrowed */
  size_t n, room;
} ccp_deadlines;

void ccp_deadlines_init(ccp_deadlines *d);
void ccp_deadlines_fini(ccp_deadlines *d);
/* CCP_OK or CCP_E_NOMEM. */
int ccp_deadlines_add(ccp_deadlines *d, ccp_rules *r);
/* Does nothing if it is not there. */
void ccp_deadlines_remove(ccp_deadlines *d, ccp_rules *r);
/* Whose deadline comes first; NULL: there is none. */
static inline ccp_rules *ccp_deadlines_first(const ccp_deadlines *d) {
  return d->n ? d->heap[0] : NULL;
}

#endif
