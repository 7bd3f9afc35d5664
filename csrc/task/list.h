/*
** Lists of tasks, linked by next and prev. The caller's lock guards them.
*/
#ifndef CCP_TASK_LIST_H
#define CCP_TASK_LIST_H

#include "task/task.h"

typedef struct ccp_task_list {
  ccp_task *head, *tail; /* borrowed */
  uint32_t n;
} ccp_task_list;

void ccp_list_append(ccp_task_list *l, ccp_task *t);
void ccp_list_push_front(ccp_task_list *l, ccp_task *t);
void ccp_list_remove(ccp_task_list *l, ccp_task *t);

#endif
