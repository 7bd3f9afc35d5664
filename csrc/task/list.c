/*
** Lists of tasks. No locking here.
*/
#include "task/list.h"

void ccp_list_append(ccp_task_list *l, ccp_task *t) {
  t->next = NULL;
  t->prev = l->tail;
  if (l->tail)
    l->tail->next = t;
  else
    l->head = t;
  l->tail = t;
  l->n++;
}

void ccp_list_push_front(ccp_task_list *l, ccp_task *t) {
  t->prev = NULL;
  t->next = l->head;
  if (l->head)
    l->head->prev = t;
  else
    l->tail = t;
  l->head = t;
  l->n++;
}

void ccp_list_remove(ccp_task_list *l, ccp_task *t) {
  if (t->prev)
    t->prev->next = t->next;
  else
    l->head = t->next;
  if (t->next)
    t->next->prev = t->prev;
  else
    l->tail = t->prev;
  t->next = t->prev = NULL;
  l->n--;
}
