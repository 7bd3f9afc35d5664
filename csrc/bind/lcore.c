/*
** The C module: everything Lua code of ccpool builds on. Nothing starts or
** forks here.
*/
#include "bind/lcore.h"

#include <dlfcn.h>
#include <pthread.h>

#include <lauxlib.h>

#include "bind/lclient.h"
#include "bind/lerror.h"
#include "bind/lexecutor.h"
#include "bind/lfuture.h"
#include "codec/codec.h"
#include "bind/lmath.h"
#include "bind/lshared.h"
#include "bind/lsync.h"
#include "bind/lhand.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/cpu.h"
#include "os/process.h"
#include "worker/vm.h"
#include "worker/vm_print.h"

static const char module_key = 0, once_key = 0; /* addresses: registry keys */

static int core_cpu_count(lua_State *L) {
  lua_pushinteger(L, ccp_cpu_count());
  return 1;
}

/* now() -> seconds on a monotonic clock. */
static int core_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)ccp_clock_now_ns() / (lua_Number)CCP_NS_PER_S);
  return 1;
}

static int core_set_error_maker(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  ccp_error_set_maker(L);
  return 0;
}

static int core_set_unheard_reporter(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  ccp_future_set_unheard(L);
  return 0;
}

static int core_set_callback_reporter(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  ccp_future_set_reporter(L);
  return 0;
}

/* current() -> kind, id, name, pid, task, attempt; nothing outside of a worker.
 */
static int core_current(lua_State *L) {
  const ccp_self *self = ccp_self_get();
  const ccp_record *r;
  if (!self || !self->plan->board)
    return ccp_hand_current(L, self);
  r = &self->plan->board->records[self->index];
  lua_pushstring(L, self->plan->is_process ? "process" : "thread");
  lua_pushinteger(L, self->index + 1);
  lua_pushfstring(L, "%s_%d", self->plan->name, (int)self->index + 1);
  lua_pushinteger(L, atomic_load(&r->pid));
  lua_pushinteger(L, (lua_Integer)self->task);
  lua_pushinteger(L, self->attempt);
  return 6;
}

/* cancelled() -> was the worker told to stop what it runs? */
static int core_cancelled(lua_State *L) {
  const ccp_self *self = ccp_self_get();
  const ccp_record *r = self && self->plan->board
                            ? &self->plan->board->records[self->index]
                            : NULL;
  lua_pushboolean(L, r && self->task &&
                         atomic_load_explicit(&r->quit, memory_order_acquire) ==
                             CCP_QUIT_STOP);
  return 1;
}

typedef struct step {
  ccp_client *client;
  uint64_t delivered;
} step;

static int was_delivered(lua_State *L, void *ud) {
  const step *s = ud;
  (void)L;
  return s->client->delivered != s->delivered;
}

static int anything_open(const ccp_client *c) {
  for (const ccp_handle *h = c->handles; h; h = h->next)
    if (ccp_pool_life_now(h->pool) != CCP_P_CLOSED)
      return 1;
  return 0;
}

/* step(timeout) -> how many futures and chunks came in; waits for one at least
** until the time is up, and runs callbacks. Without a pool: 0 at once. */
static int core_step(lua_State *L) {
  int64_t deadline = ccp_check_timeout(L, 1);
  ccp_client *c = ccp_client_peek(L);
  step s;
  if (!c) {
    lua_pushinteger(L, 0);
    return 1;
  }
  s.client = c;
  s.delivered = c->delivered;
  if (c->in_flight_n == 0 || !anything_open(c))
    deadline = ccp_clock_now_ns();
  ccp_client_wants(c, NULL, NULL);
  if (ccp_client_wait(L, c, NULL, deadline, was_delivered, &s) ==
      CCP_E_DEADLOCK)
    return ccp_error_raise(L, CCP_E_DEADLOCK, NULL);
  lua_pushinteger(L, (lua_Integer)(c->delivered - s.delivered));
  return 1;
}

/* epoch() -> a number that no other process of the family has. */
static int core_epoch(lua_State *L) {
  lua_pushinteger(L, ccp_process_epoch());
  return 1;
}

/* sleep(seconds): gives the processor away; a signal's hook may raise. */
static int never(lua_State *L, void *ud) {
  (void)L;
  (void)ud;
  return 0;
}

static int core_sleep(lua_State *L) {
  int64_t deadline = ccp_check_timeout(L, 1);
  (void)ccp_client_wait(L, ccp_client_get(L), NULL, deadline, never, NULL);
  return 0;
}

/* register(name, metatable, save, load, module | nil): see codec.h. Arguments
** are checked in Lua; here only what could do harm. */
static int core_register(lua_State *L) {
  luaL_checktype(L, 1, LUA_TSTRING);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  luaL_checktype(L, 4, LUA_TFUNCTION);
  return ccp_codec_register_type(L);
}

/* functions() -> how often this state has dumped a function, and loaded one. */
static int core_functions(lua_State *L) {
  uint64_t dumps, loads;
  ccp_codec_counts(L, &dumps, &loads);
  lua_pushinteger(L, (lua_Integer)dumps);
  lua_pushinteger(L, (lua_Integer)loads);
  return 2;
}

/* once(table) -> the table of the first call in this state. */
static int core_once(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &once_key) == LUA_TTABLE)
    return 1;
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &once_key);
  return 1;
}

/* The code must stay where it is as long as threads of it may run, longer than
** any state that loaded it: a reference to the library that is never given
** back. Once, since it takes the lock of the loader of libraries, which a
** process that is forked meanwhile would never see free. */
static void pin(void) {
  static const char here = 0;
  Dl_info info;
  if (dladdr(&here, &info) && info.dli_fname)
    (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

/* Stack: the module. */
static void add_shared_classes(lua_State *L) {
  ccp_lock_class(L);
  ccp_semaphore_class(L);
  ccp_event_class(L);
  ccp_condition_class(L);
  ccp_barrier_class(L);
  ccp_array_class(L);
  ccp_queue_class(L);
  ccp_dict_class(L);
}

/* Once per state, even if package.loaded forgets it: futures, executors and
** the table of what is in flight belong together. */
int luaopen_ccpool_core(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"cpu_count", core_cpu_count},
      {"now", core_now},
      {"current", core_current},
      {"cancelled", core_cancelled},
      {"epoch", core_epoch},
      {"step", core_step},
      {"once", core_once},
      {"sleep", core_sleep},
      {"print", ccp_vm_print},
      {"register", core_register},
      {"functions", core_functions},
      {"watch", ccp_future_watch},
      {"failed", ccp_future_failed},
      {"loop_fd", ccp_future_loop_fd},
      {"loop_ring", ccp_future_loop_ring},
      {"loop_quiet", ccp_future_loop_quiet},
      {"loop_await", ccp_future_loop_await},
      {"is_future", ccp_future_is},
      {"shared_stats", ccp_sharing_stats},
      {"reap", ccp_sharing_reap},
      {"set_error_maker", core_set_error_maker},
      {"set_callback_reporter", core_set_callback_reporter},
      {"set_unheard_reporter", core_set_unheard_reporter},
      {"look", ccp_future_look},
      {NULL, NULL}};
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  int class_, in_flight;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key) == LUA_TTABLE)
    return 1;
  (void)pthread_once(&once, pin);
  ccp_future_class(L); /* metatable, methods */
  class_ = lua_gettop(L) - 1;
  ccp_client_open(L);
  in_flight = lua_gettop(L);
  luaL_newlib(L, functions);
  lua_pushvalue(L, class_ + 1);
  lua_setfield(L, -2, "Future");
  ccp_submit_function(L, class_, in_flight);
  ccp_executor_functions(L);
  ccp_map_functions(L);
  ccp_rules_functions(L);
  ccp_crew_functions(L);
  ccp_stats_function(L);
  ccp_math_functions(L);
  add_shared_classes(L);
  ccp_hand_functions(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
  return 1;
}
