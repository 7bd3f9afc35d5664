/*
** Threads by hand. The second part runs in the thread of the Lua state that
** started it, the first one in the new thread, which shares only the hand.
*/
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "bind/lcore.h"
#include "bind/lerror.h"
#include "bind/lexecutor.h"
#include "bind/lhand.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/futex.h"
#include "os/process.h"
#include "task/replies.h"
#include "worker/vm_call.h"
#include "worker/vm_interrupt.h"

/* ------------------------------------------------------------ in the thread */

typedef struct run {
  ccp_hand *hand;
  ccp_caller caller;
} run;

/* Stack: run. */
static int call_target(lua_State *L) {
  run *r = lua_touserdata(L, 1);
  ccp_hand *h = r->hand;
  ccp_item item = {NULL, 0, h->call.data, h->call.len, 1};
  ccp_vm_prepare(L, &h->plan);
  r->caller.codec = ccp_codec_of(L);
  h->status = (uint8_t)ccp_caller_run(L, &r->caller, &item);
  return 0;
}

/* Stack: run. */
static int guarded(lua_State *L) {
  run *r = lua_touserdata(L, 1);
  int status;
  lua_pushlightuserdata(L, r->hand);
  lua_pushcclosure(L, ccp_hand_traceback, 1);
  lua_pushcfunction(L, call_target);
  lua_pushlightuserdata(L, r);
  status = lua_pcall(L, 1, 0, 2);
  if (status == LUA_OK)
    return 0;
  if (status != LUA_ERRRUN) /* then no message handler was called */
    ccp_hand_report("thread", r->hand->name,
                    status == LUA_ERRMEM ? "not enough memory"
                                         : "error in error handling");
  r->hand->status = (uint8_t)ccp_caller_failed(L, &r->caller, status);
  return 0;
}

static void run_target(lua_State *L, ccp_hand *h) {
  run r;
  memset(&r, 0, sizeof r);
  r.hand = h;
  ccp_buf_init(&r.caller.out);
  h->status = CCP_R_MEMORY; /* unless something better comes */
  lua_pushcfunction(L, guarded);
  lua_pushlightuserdata(L, &r);
  (void)lua_pcall(L, 1, 0, 0);
  lua_settop(L, 0);
  h->reply = r.caller.out;
}

/* What the target started is joined when its state is closed: once the thread
** has ended, all of it has. */
static void thread_main(void *arg) {
  ccp_hand *h = arg;
  lua_State *L;
  ccp_nest nest;
  ccp_thread_name(h->name);
  L = ccp_vm_enter(&h->self, &h->base, &nest);
  atomic_store_explicit(&h->id, (uint32_t)syscall(SYS_gettid),
                        memory_order_release);
  ccp_futex_wake(&h->id, CCP_WAKE_ALL);
  if (L) {
    run_target(L, h);
    ccp_vm_leave(&h->self, L, &nest);
  } else
    h->status = CCP_R_MEMORY;
  ccp_lock_acquire(&h->lock);
  ccp_hand_ended_locked(h);
  ccp_lock_release(&h->lock);
}

/* ------------------------------------------------------------ in its owner */

static char *package_field(lua_State *L, const char *name) {
  char *copy = NULL;
  if (lua_getglobal(L, LUA_LOADLIBNAME) == LUA_TTABLE &&
      lua_getfield(L, -1, name) == LUA_TSTRING) {
    copy = strdup(lua_tostring(L, -1));
    if (!copy)
      (void)ccp_error_raise(L, CCP_E_NOMEM, NULL);
  }
  return copy;
}

static int is_empty(lua_State *L, int table) {
  lua_pushnil(L);
  if (!lua_next(L, table))
    return 1;
  lua_pop(L, 2);
  return 0;
}

int ccp_encode_setup(lua_State *L, int at, ccp_buf *out, const ccp_funcs *funcs,
                     int always) {
  const ccp_what preloads = {"preload", CCP_WHAT_EARLY, 0},
                 types = {"type", CCP_WHAT_NEW, 0};
  int rc, top = lua_gettop(L);
  luaL_checktype(L, at, LUA_TTABLE);
  lua_rawgeti(L, at, 1);
  lua_rawgeti(L, at, 2);
  ccp_codec_types(L, top + 1);
  ccp_buf_reset(out);
  if (!always && is_empty(L, top + 1) && is_empty(L, top + 2) &&
      is_empty(L, top + 3)) {
    lua_settop(L, top);
    return CCP_OK;
  }
  rc = ccp_encode(L, top + 1, 2, preloads, out, funcs);
  if (rc == CCP_OK)
    rc = ccp_encode(L, top + 3, 1, types, out, funcs);
  if (rc != CCP_E_NOTSENDABLE)
    lua_settop(L, top);
  return rc;
}

/* Stack: hand, setup, target, arguments. What a start that failed
** has left is made anew by the next. */
static void fill_plan(lua_State *L, ccp_hand *h) {
  const ccp_what call = {"argument", 0, 0};
  int last = lua_gettop(L), rc;
  ccp_buf prelude;
  h->plan.name = h->name;
  h->plan.open_core = luaopen_ccpool_core;
  ccp_buf_reset(&h->call);
  luaL_checkstack(L, 8, "too many arguments");
  rc = ccp_encode_call(L, 3, last - 2, call, &h->call, NULL);
  if (rc != CCP_OK)
    (void)ccp_error_raise(L, rc, NULL);
  if (!h->plan.prelude) {
    ccp_buf_init(&prelude);
    rc = ccp_encode_setup(L, 2, &prelude, NULL, 0);
    h->plan.prelude = prelude.data;
    h->plan.prelude_len = prelude.len;
    if (rc != CCP_OK)
      (void)ccp_error_raise(L, rc, NULL);
  }
  if (!h->plan.path)
    h->plan.path = package_field(L, "path");
  if (!h->plan.cpath)
    h->plan.cpath = package_field(L, "cpath");
  lua_settop(L, last);
}

/* thread_start(hand, setup, target, ...): setup is the table that `new` gets */
static int core_thread_start(lua_State *L) {
  ccp_hand *h = ccp_hand_check_new(L, 1);
  ccp_client *c = ccp_client_get(L);
  ccp_check_target(L, 3);
  fill_plan(L, h);
  h->self.plan = &h->plan;
  if (ccp_vm_arm_signal() != CCP_OK)
    return ccp_error_raise(L, CCP_E_SYS, "sigaction");
  ccp_hand_started(c, h);
  if (ccp_thread_start(&h->thread, thread_main, h,
                       ccp_thread_stack_bytes() + CCP_NEST_BYTES) != CCP_OK) {
    atomic_store(&h->state, CCP_H_NEW);
    c->hands = h->next;
    h->refs--;
    return ccp_error_raise(L, CCP_E_SYS, "pthread_create");
  }
  while (atomic_load_explicit(&h->id, memory_order_acquire) == 0)
    (void)ccp_futex_wait(&h->id, 0, CCP_NEVER); /* it comes at once */
  return 0;
}

/* thread_result(hand) -> what the target of a thread that has ended returned;
** raises its error. */
static int core_thread_result(lua_State *L) {
  ccp_hand *h = ccp_hand_check(L, 1);
  size_t used;
  if (ccp_hand_state(h) != CCP_H_ENDED || h->closed)
    return luaL_error(L, "this thread has no result");
  if (h->status == CCP_R_VALUES)
    return ccp_decode(L, h->reply.data, h->reply.len, &used, NULL);
  ccp_error_of_reply(L, h->status, h->reply.data, h->reply.len);
  lua_pop(L, 1);
  return lua_error(L);
}

/* It is joined by who calls this, so it is there as long as it runs. */
void ccp_thread_interrupt(ccp_hand *h, int insist) {
  if (ccp_hand_state(h) == CCP_H_RUNNING && h->thread.started)
    ccp_vm_interrupt(&h->self, h->thread.id, insist);
}

void ccp_thread_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"thread_start", core_thread_start},
                                       {"thread_result", core_thread_result},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
