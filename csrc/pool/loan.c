/*
** Shared objects that messages of the pool name for all its life: what later
** workers read, too. The program's process holds them. Any thread of it.
*/
#include "pool/state.h"

#include <stdlib.h>

#include "os/codes.h"

struct ccp_loan {
  ccp_loan *next;
  ccp_object_name name;
};

int ccp_pool_lend(ccp_pool *p, ccp_object_name name) {
  ccp_loan *l = malloc(sizeof *l);
  if (!l)
    return CCP_E_NOMEM;
  l->name = name;
  ccp_lock_acquire(&p->lock);
  l->next = p->loans;
  p->loans = l;
  ccp_lock_release(&p->lock);
  return CCP_OK;
}

void ccp_pool_take_back(ccp_pool *p) {
  while (p->loans) {
    ccp_loan *l = p->loans;
    p->loans = l->next;
    ccp_object_release(l->name);
    free(l);
  }
}
