/*
** A worker that waits for tasks helps: it runs such a task itself if nobody has
** begun it. So a task may wait for tasks of its own executor, however few
** workers there are. In the thread of the Lua state.
*/
#include "bind/lclient.h"

#include "bind/lserial.h"
#include "worker/vm.h"

enum { DEPTH_MOST = 24 }; /* calls within calls: the C stack has an end */

static ccp_task *claim(const ccp_handle *h, ccp_task *t) {
  return h->party ? ccp_pool_claim(h->pool, h->party, t, ccp_self_get()) : NULL;
}

static ccp_task *find(ccp_client *c, ccp_handle **h, ccp_task *t) {
  if (*h)
    return claim(*h, t);
  for (*h = c->handles; *h; *h = (*h)->next) {
    t = claim(*h, NULL);
    if (t)
      return t;
  }
  return NULL;
}

int ccp_client_help(lua_State *L, ccp_client *c, ccp_handle *h, ccp_task *t) {
  int raised;
  if (c->helping == DEPTH_MOST || !lua_checkstack(L, 32))
    return 0;
  t = find(c, &h, t);
  if (!t)
    return 0;
  c->helping++;
  raised = ccp_serial_run(L, h->pool, t);
  c->helping--;
  ccp_client_take(L, c, h);
  return raised ? -1 : 1;
}
