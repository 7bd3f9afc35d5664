/*
** Futures: callbacks, queues and descriptors of those who watch them. In the
** thread of the Lua state.
*/
#include "bind/lfuture_state.h"

#include <string.h>

#include "bind/lerror.h"
#include "os/codes.h"
#include "os/fd.h"

static const char fd_key = 0, reporter_key = 0; /* addresses: registry keys */

/* ------------------------------------------------------------ watching */

static void watch_pool(ccp_future *f) {
  if (!(f->marks & WATCHED))
    ccp_pool_watch(f->at.pending.handle->pool, 1);
  f->marks |= WATCHED;
}

/* Where a callback was called from, and whether a hook has raised in it. */
typedef struct ccp_calling {
  lua_Debug here;
  int by_hook;
} calling;

/* Message handler. Ctrl-C, and the end of a task that is told to stop, are
** errors that a hook raises; what is called from a hook says so. Only the
** levels above the call count: it may itself stand in a handler. */
static int note_hook(lua_State *L) {
  const ccp_client *c = ccp_client_peek(L); /* NULL: forked meanwhile */
  calling *call = c ? c->call : NULL;
  lua_Debug ar;
  for (int i = 0; call && !call->by_hook && lua_getstack(L, i, &ar) &&
                  ar.i_ci != call->here.i_ci;
       i++)
    call->by_hook = ccp_error_is_hook(L, &ar);
  return 1;
}

/* Calls the function below the n values on the top; gives what lua_pcall does.
** 1 in *by_hook: the error is an interruption of the program. */
static int call_noting(lua_State *L, ccp_client *c, int n, int *by_hook) {
  int base = lua_gettop(L) - n, status;
  calling call = {.by_hook = 0}, *around = c->call;
  (void)lua_getstack(L, 0, &call.here);
  c->call = &call;
  lua_pushcfunction(L, note_hook);
  lua_insert(L, base);
  status = lua_pcall(L, n, 0, base);
  lua_remove(L, base);
  c->call = around;
  *by_hook = call.by_hook;
  return status;
}

/* Stack on entry: ..., callback, future. Pops both. Who asks for a result that
** is there runs no other callback meanwhile. True: the program was interrupted
** meanwhile; the error is on the top. */
static int run_callback(lua_State *L, ccp_client *c) {
  int by_hook, status;
  c->calling++;
  lua_pushvalue(L, -1);
  lua_insert(L, -3); /* future, callback, ccp_future */
  status = call_noting(L, c, 1, &by_hook);
  if (status != LUA_OK && !by_hook) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &reporter_key) == LUA_TFUNCTION) {
      lua_insert(L, -2);
      lua_pushvalue(L, -3);
      if (call_noting(L, c, 2, &by_hook) != LUA_OK && !by_hook)
        lua_pop(L, 1); /* a reporter that fails has nobody to tell */
    } else
      lua_pop(L, 2);
  }
  lua_remove(L, by_hook ? -2 : -1); /* the future */
  c->calling--;
  return by_hook;
}

void ccp_future_set_reporter(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &reporter_key);
}

/* Stack: future, table of its callbacks; those behind the i-th have not run. It
** is the first again. */
static void put_back(lua_State *L, ccp_client *c, int f, lua_Integer i) {
  lua_Integer n = 0;
  lua_newtable(L);
  while (lua_rawgeti(L, f + 2, ++i) != LUA_TNIL)
    lua_rawseti(L, -2, ++n);
  lua_pop(L, 1);
  lua_setfield(L, f + 1, "callbacks");
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->callbacks);
  lua_pushvalue(L, f);
  lua_rawseti(L, -2, --c->callback_first);
  lua_pop(L, 1);
  c->callback_n++;
  ccp_future_note();
}

/* Runs the callbacks that wait for the future at `f`, the top, which has
** extras; none may be left. True: the program was interrupted; the error is on
** the top. */
static int run_all_of(lua_State *L, ccp_client *c, int f) {
  luaL_checkstack(L, 12, NULL);
  ccp_future_push_kept(L, f);
  if (lua_getfield(L, -1, "callbacks") == LUA_TTABLE) {
    lua_pushnil(L);
    lua_setfield(L, -3, "callbacks");
    for (lua_Integer i = 1; lua_rawgeti(L, f + 2, i) != LUA_TNIL; i++) {
      lua_pushvalue(L, f);
      if (run_callback(L, c)) {
        put_back(L, c, f, i);
        return 1;
      }
    }
  }
  lua_settop(L, f);
  return 0;
}

/* Each future is taken out before its callbacks run: they may wait, and come
** here again. */
int ccp_future_run_callbacks(lua_State *L, ccp_client *c) {
  int n = 0;
  for (; c->callback_n > 0; n++) {
    luaL_checkstack(L, 4, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->callbacks);
    lua_rawgeti(L, -1, c->callback_first);
    lua_pushnil(L);
    lua_rawseti(L, -3, c->callback_first);
    lua_remove(L, -2);
    c->callback_first++;
    c->callback_n--;
    if (run_all_of(L, c, lua_gettop(L)))
      return lua_error(L);
    lua_pop(L, 1);
  }
  ccp_future_report_unheard(L, c);
  return n;
}

static void append_to(lua_State *L, const char *field) {
  if (lua_getfield(L, -1, field) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, field);
  }
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static int callable(lua_State *L, int arg) {
  if (lua_isfunction(L, arg))
    return 1;
  if (luaL_getmetafield(L, arg, "__call") == LUA_TNIL)
    return 0;
  lua_pop(L, 1);
  return 1;
}

static int future_add_done_callback(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  luaL_argexpected(L, callable(L, 2), 2, "function");
  lua_settop(L, 2);
  ccp_future_looked(L, f, 1); /* the callback will */
  if (ccp_future_refresh(L, f)) {
    ccp_client *c = ccp_client_get(L);
    lua_pushvalue(L, 1);
    if (f->extras && run_all_of(L, c, 3)) /* added before, but not run yet */
      return lua_error(L);
    lua_settop(L, 2);
    lua_pushvalue(L, 1);
    return run_callback(L, c) ? lua_error(L) : 0;
  }
  ccp_future_push_extras(L, f, 1);
  append_to(L, "callbacks");
  watch_pool(f);
  return 0;
}

int ccp_future_failed(lua_State *L) {
  const ccp_future *f = ccp_future_check(L, 1);
  lua_pushboolean(L, f->state == FINISHED && f->status != CCP_R_VALUES);
  return 1;
}

int ccp_future_is(lua_State *L) {
  const ccp_future *f = lua_touserdata(L, 1);
  lua_pushboolean(L, f && lua_type(L, 1) == LUA_TUSERDATA &&
                         lua_rawlen(L, 1) == sizeof *f &&
                         f->magic == CCP_FUTURE_MAGIC);
  return 1;
}

int ccp_future_watch(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  if (f->state != PENDING) {
    lua_pushboolean(L, 0);
    return 1;
  }
  ccp_future_check_ours(L, f);
  ccp_future_push_extras(L, f, 1);
  append_to(L, "watchers");
  lua_pushboolean(L, 1);
  return 1;
}

/* ------------------------------------------------------------ event loops */

/* The client's event descriptor, made when first asked for. */
static int loop_fd(lua_State *L, const ccp_client *c) {
  if (c->bell->loop_fd < 0)
    c->bell->loop_fd = ccp_fd_event();
  if (c->bell->loop_fd < 0)
    return ccp_error_raise(L, CCP_E_SYS, "eventfd");
  return c->bell->loop_fd;
}

/* What the Lua files of event loops need:
**   loop_fd() -> descriptor that is rung when futures that wait are done;
**   loop_ring(), loop_quiet(): make it readable, and unreadable;
**   loop_await(future, queue) -> true: once it is done, it is rung, and the
**   future appended to the array; false: nobody but a blocking wait can help,
**   since the task is of a pool that another state owns: this thread may be the
**   one who has to run it. */
int ccp_future_loop_fd(lua_State *L) {
  lua_pushinteger(L, loop_fd(L, ccp_client_get(L)));
  return 1;
}

int ccp_future_loop_ring(lua_State *L) {
  ccp_fd_ring(loop_fd(L, ccp_client_get(L)));
  return 0;
}

int ccp_future_loop_quiet(lua_State *L) {
  ccp_fd_quiet(loop_fd(L, ccp_client_get(L)));
  return 0;
}

int ccp_future_loop_await(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  int fd;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  if (f->state != PENDING || f->at.pending.handle->party) {
    lua_pushboolean(L, 0);
    return 1;
  }
  ccp_future_check_ours(L, f);
  fd = loop_fd(L, ccp_client_get(L));
  ccp_future_push_extras(L, f, 1);
  append_to(L, "watchers");
  watch_pool(f);
  if (ccp_pool_loop(f->at.pending.handle->pool, f->at.pending.task))
    ccp_fd_ring(fd);
  lua_pushboolean(L, 1);
  return 1;
}

/* ------------------------------------------------------------ descriptor */

static int fd__gc(lua_State *L) {
  int *fd = lua_touserdata(L, 1);
  ccp_fd_close(*fd);
  *fd = -1;
  return 0;
}

/* Pushes a userdata that owns a new event descriptor. */
static int push_fd(lua_State *L) {
  int *fd = lua_newuserdatauv(L, sizeof *fd, 0);
  *fd = -1;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &fd_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, fd__gc);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fd_key);
  }
  lua_setmetatable(L, -2);
  *fd = ccp_fd_event();
  if (*fd < 0)
    return ccp_error_raise(L, CCP_E_SYS, "eventfd");
  return *fd;
}

static int future_getfd(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  int fd;
  lua_settop(L, 1);
  (void)ccp_future_refresh(L, f);
  ccp_future_push_extras(L, f, 1);
  if (lua_getfield(L, 2, "fd") == LUA_TUSERDATA) {
    lua_pushinteger(L, *(int *)lua_touserdata(L, -1));
    return 1;
  }
  fd = push_fd(L);
  lua_setfield(L, 2, "fd");
  if (f->state != PENDING)
    ccp_fd_ring(fd);
  else {
    ccp_pool_watch_fd(f->at.pending.handle->pool, f->at.pending.task, fd);
    watch_pool(f);
  }
  lua_pushinteger(L, fd);
  return 1;
}

static int future_events(lua_State *L) {
  (void)ccp_future_check(L, 1);
  lua_pushliteral(L, "r");
  return 1;
}

static int future_timeout(lua_State *L) {
  if (ccp_future_refresh(L, ccp_future_check(L, 1)))
    lua_pushinteger(L, 0);
  else
    lua_pushnil(L);
  return 1;
}

void ccp_future_watch_methods(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"add_done_callback", future_add_done_callback},
      {"getfd", future_getfd},
      {"pollfd", future_getfd},
      {"events", future_events},
      {"timeout", future_timeout},
      {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
