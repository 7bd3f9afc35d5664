/*
** What a worker's Lua state holds before its first task. Everything here runs
** in the worker's own thread.
*/
#include "worker/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "codec/codec.h"
#include "codec/pace.h"
#include "os/process.h"
#include "worker/vm_interrupt.h"
#include "worker/vm_load.h"
#include "worker/vm_print.h"

enum {
  CREDIT_KB = 32 << 10, /* a child may allocate that before it collects, or as
                           much as it inherited */
  GLOBALS = 64,         /* so many find room in a thread's new table, and */
  MODULES = 16,         /* of these, too */
  DEPTH = 10            /* calls of C functions below a task's own */
};

static void set_package_field(lua_State *L, const char *name,
                              const char *value) {
  if (!value)
    return;
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

static void seed(lua_State *L) {
  lua_Integer bits[2];
  ccp_process_random(bits, sizeof bits);
  if (lua_getglobal(L, LUA_MATHLIBNAME) == LUA_TTABLE &&
      lua_getfield(L, -1, "randomseed") == LUA_TFUNCTION) {
    lua_pushinteger(L, bits[0]);
    lua_pushinteger(L, bits[1]);
    lua_call(L, 2, 0);
  } /* what else was pushed goes with the caller's frame */
}

static int thread_exit(lua_State *L) {
  return luaL_error(L, "os.exit in a thread worker would end the program; "
                       "return from the task instead");
}

/* What a worker's child processes and atexit handlers would do is the
** program's, not the worker's: so _exit. */
static int process_exit(lua_State *L) {
  int code = lua_isnoneornil(L, 1) || lua_isboolean(L, 1)
                 ? (lua_isnoneornil(L, 1) || lua_toboolean(L, 1) ? EXIT_SUCCESS
                                                                 : EXIT_FAILURE)
                 : (int)luaL_checkinteger(L, 1);
  (void)fflush(NULL);
  _exit(code);
}

static void replace_exit(lua_State *L, lua_CFunction f) {
  if (lua_getglobal(L, LUA_OSLIBNAME) == LUA_TTABLE) {
    lua_pushcfunction(L, f);
    lua_setfield(L, -2, "exit");
  }
  lua_pop(L, 1);
}

/* Tables that the libraries fill, as large as they will be. */
static void lay_out(lua_State *L) {
  lua_createtable(L, 0, GLOBALS);
  lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_createtable(L, 0, MODULES);
  lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
}

static void open_thread_state(lua_State *L, const ccp_plan *plan) {
  luaL_openlibs(L);
  ccp_vm_watch_coroutines(L);
  lua_pushcfunction(L, ccp_vm_print);
  lua_setglobal(L, "print");
  ccp_load_in_turn(L);
  set_package_field(L, "path", plan->path);
  set_package_field(L, "cpath", plan->cpath);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, plan->open_core);
  lua_setfield(L, -2, "ccpool.core");
  lua_pop(L, 1);
  replace_exit(L, thread_exit);
}

static void add_preloads(lua_State *L, int from) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (lua_pushnil(L); lua_next(L, from);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  lua_pop(L, 1);
}

/* Requires each module of the array at that index, in turn. */
static void require_all(lua_State *L, int list) {
  for (lua_Integer i = 1; lua_rawgeti(L, list, i) == LUA_TSTRING; i++) {
    lua_getglobal(L, "require");
    lua_insert(L, -2);
    lua_call(L, 1, 0);
  }
  lua_pop(L, 1);
}

/* The prelude's messages. For a thread first the preloads and the modules that
** are to be required, then the registered types, which decoding registers. Then
** for both, if there is an initializer, its call. */
static void run_prelude(lua_State *L, const ccp_plan *plan) {
  const unsigned char *p = plan->prelude, *end = p + plan->prelude_len;
  size_t used;
  int base = lua_gettop(L);
  if (!plan->is_process) {
    if (ccp_decode(L, p, (size_t)(end - p), &used, plan->funcs) != 2)
      (void)luaL_error(L, "malformed message: no preloads");
    add_preloads(L, base + 1);
    require_all(L, base + 2);
    p += used;
    (void)ccp_decode(L, p, (size_t)(end - p), &used, plan->funcs);
    p += used;
    lua_settop(L, base);
  }
  if (p < end) {
    int n = ccp_decode(L, p, (size_t)(end - p), &used, plan->funcs);
    lua_call(L, n - 1, 0);
  }
}

/* The collector of a child starts late: its marks would copy every page of the
** heap that the child shares with its parent. */
void ccp_vm_prepare_child(lua_State *L) {
  int heap_kb = lua_gc(L, LUA_GCCOUNT);
  replace_exit(L, process_exit);
  ccp_gc_credit(L, heap_kb > CREDIT_KB ? heap_kb : CREDIT_KB);
}

/* A new state has no garbage to be collected while it is filled. */
static void prepare_new(lua_State *L, const ccp_plan *plan) {
  (void)lua_gc(L, LUA_GCSTOP);
  lay_out(L);
  open_thread_state(L, plan);
  (void)lua_gc(L, LUA_GCRESTART);
  ccp_gc_credit(L, lua_gc(L, LUA_GCCOUNT)); /* as after a cycle */
}

void ccp_vm_prepare(lua_State *L, const ccp_plan *plan) {
  int top = lua_gettop(L);
  if (!plan->is_process) {
    prepare_new(L, plan);
    ccp_codec_inherit(L);
  }
  seed(L);
  lua_settop(L, top);
  if (plan->prelude)
    run_prelude(L, plan);
}

/* Stack: depth. Calls go so deep without any memory from now on. */
static int stretch(lua_State *L) {
  lua_Integer depth = lua_tointeger(L, 1);
  if (depth > 0) {
    lua_pushcfunction(L, stretch);
    lua_pushinteger(L, depth - 1);
    lua_call(L, 1, 0);
  }
  return 0;
}

/* Gives the coroutine; without the hooks of the program's signals. */
static int inherit(lua_State *L) {
  lua_State *co;
  ccp_vm_prepare_child(L);
  ccp_codec_inherit(L);
  co = lua_newthread(L);
  lua_sethook(co, NULL, 0, 0);
  lua_pushcfunction(co, stretch);
  lua_pushinteger(co, DEPTH);
  lua_call(co, 1, 0);
  return 1;
}

lua_State *ccp_vm_inherit(lua_State *L) {
  if (!lua_checkstack(L, 2))
    return NULL;
  lua_sethook(L, NULL, 0, 0);
  lua_pushcfunction(L, inherit);
  return lua_pcall(L, 0, 1, 0) == LUA_OK ? lua_tothread(L, -1) : NULL;
}
