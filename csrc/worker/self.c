/*
** Which worker a thread is.
*/
#include "os/local.h"
#include "worker/vm.h"

static CCP_LOCAL ccp_self *current;

ccp_self *ccp_self_get(void) {
  return current;
}

struct ccp_pool *ccp_self_pool(void) {
  return current && !current->plan->is_process ? current->plan->pool : NULL;
}

void ccp_self_set(ccp_self *self) {
  current = self;
}
