/*
** Futures: the bytes of outcomes that are not small, and errors that nobody
** looked at. In the thread of the Lua state.
**
** A future has no finalizer; but the bytes of a failure lie in a holder, which
** has one. If nobody asked for the error by then, the bytes go to a list of the
** client: garbage may be collected in the middle of anything, so the program is
** told when callbacks run, or when the state is closed.
*/
#include "bind/lfuture_state.h"

#include <stdlib.h>

#include "bind/lerror.h"
#include "os/process.h"

static const char holder_key = 0,
                  reporter_key = 0; /* their addresses: in the registry */

struct ccp_unheard {
  struct ccp_unheard *next;
  ccp_bytes bytes;
  uint8_t status;
};

/* ------------------------------------------------------------ holders */

static void enlist(ccp_client *c, uint8_t status, ccp_bytes *bytes) {
  ccp_unheard *u = c ? malloc(sizeof *u) : NULL;
  if (!u)
    return;
  u->next = c->unheard;
  u->status = status;
  u->bytes = *bytes;
  ccp_bytes_init(bytes);
  c->unheard = u;
  ccp_future_note();
}

/* In a descendant it is a copy: a block belongs to the ancestor's, and so do
** the news. */
static int holder__gc(lua_State *L) {
  ccp_held *h = lua_touserdata(L, 1);
  int ours = h->epoch == ccp_process_epoch();
  if (h->unheard && ours)
    enlist(ccp_client_peek(L), h->status, &h->bytes);
  h->unheard = 0;
  if (ours || !ccp_bytes_is_block(&h->bytes))
    ccp_bytes_free(&h->bytes);
  return 0;
}

void ccp_future_push_holder(lua_State *L, ccp_bytes *from, uint8_t status,
                            int unheard) {
  ccp_held *h = lua_newuserdatauv(L, sizeof *h, 0);
  ccp_bytes_init(&h->bytes);
  h->readers = 0;
  h->epoch = ccp_process_epoch();
  h->status = status;
  h->unheard = 0;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &holder_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, holder__gc);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &holder_key);
  }
  lua_setmetatable(L, -2);
  h->bytes = *from;
  h->unheard = (uint8_t)unheard;
  ccp_bytes_init(from);
}

void ccp_future_looked(lua_State *L, ccp_future *f, int index) {
  f->marks |= LOOKED;
  if (f->form != HELD)
    return;
  ccp_future_push_outcome(L, f, index);
  ((ccp_held *)lua_touserdata(L, -1))->unheard = 0;
  lua_pop(L, 1);
}

/* What ended with its executor is no news of a task. */
int ccp_future_is_news(const ccp_future *f, uint8_t status) {
  return status != CCP_R_VALUES && status != CCP_R_CANCELLED &&
         status != CCP_R_BROKEN && !(f->marks & LOOKED);
}

/* The state is being closed: the future is there yet, but nobody has it. */
void ccp_future_missed(ccp_client *c, ccp_task *t) {
  if (ccp_future_is_news(t->owner, t->status))
    enlist(c, t->status, &t->body);
}

/* ------------------------------------------------------------ reports */

void ccp_future_set_unheard(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &reporter_key);
}

/* Stack: ccp_unheard. */
static int report(lua_State *L) {
  const ccp_unheard *u = lua_touserdata(L, 1);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &reporter_key) != LUA_TFUNCTION)
    return 0;
  ccp_error_of_reply(L, u->status, ccp_bytes_at(&u->bytes), u->bytes.len);
  lua_call(L, 2, 0);
  return 0;
}

/* A reporter may collect more of them. */
static ccp_unheard *take(ccp_client *c) {
  ccp_unheard *first = NULL;
  while (c->unheard) {
    ccp_unheard *u = c->unheard;
    c->unheard = u->next;
    u->next = first;
    first = u;
  }
  return first;
}

/* A reporter that fails has nobody to tell. In a descendant the list is a copy
** and no news. */
void ccp_future_report_unheard(lua_State *L, ccp_client *c) {
  if (c->epoch != ccp_process_epoch() || !lua_checkstack(L, 4))
    return;
  while (c->unheard)
    for (ccp_unheard *u = take(c), *next; u; u = next) {
      next = u->next;
      lua_pushlightuserdata(L, u);
      (void)ccp_client_quietly(L, c, report, 1);
      ccp_bytes_free(&u->bytes);
      free(u);
    }
}

int ccp_future_look(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  ccp_future_looked(L, f, 1);
  return 0;
}
