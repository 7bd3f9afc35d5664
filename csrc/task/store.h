/*
** Tasks by number, kept for reuse, so that a task costs no malloc.
*/
#ifndef CCP_TASK_STORE_H
#define CCP_TASK_STORE_H

#include "task/task.h"

/* For one thread. */
typedef struct ccp_store {
  ccp_task **slabs;
  uint32_t slab_n;
  ccp_task *free;
} ccp_store;

void ccp_store_init(ccp_store *s);
/* Frees all tasks, those in use too. */
void ccp_store_fini(ccp_store *s);
/* A fresh task, or NULL. Its id is at least 1, and small. */
ccp_task *ccp_store_take(ccp_store *s);
void ccp_store_give(ccp_store *s, ccp_task *t);

#endif
