/*
** A worker's Lua state. Everything here runs in the worker's own thread.
*/
#include "worker/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stdio_ext.h>

#include <lauxlib.h>
#include <lualib.h>

#include "os/codes.h"
#include "os/process.h"
#include "os/thread.h"
#include "shared/arena.h"
#include "worker/loop.h"
#include "worker/vm_call.h"
#include "worker/vm_interrupt.h"
#include "worker/vm_memory.h"
#include "worker/vm_print.h"
#include "worker/vm_load.h"

enum { KEEP_BYTES = 64 << 10 }; /* of the reply buffer, between replies */

typedef struct vm {
  lua_State *L;
  ccp_self *self; /* borrowed */
  ccp_loop loop;
  ccp_caller caller;
  ccp_buf_blocks blocks;
  ccp_running base; /* the state itself, below all coroutines */
  int in_item;
  ccp_cap cap;
  int retire; /* end after the current item */
} vm;

static _Thread_local ccp_self *current;

ccp_self *ccp_self_get(void) {
  return current;
}

struct ccp_pool *ccp_self_pool(void) {
  return current && !current->plan->is_process ? current->plan->pool : NULL;
}

void ccp_self_forget(void) {
  current = NULL;
}

/* ---------------------------------------------------------- making it */

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

void ccp_vm_prepare(lua_State *L, const ccp_plan *plan) {
  int top = lua_gettop(L);
  if (plan->is_process) {
    ccp_gc_put_off(L);
    replace_exit(L, process_exit);
  } else
    open_thread_state(L, plan);
  seed(L);
  lua_settop(L, top);
  if (plan->board || !plan->is_process)
    ccp_codec_inherit(L);
  if (plan->prelude)
    run_prelude(L, plan);
}

/* Stack: vm. */
static int prepare(lua_State *L) {
  vm *v = lua_touserdata(L, 1);
  ccp_vm_prepare(L, v->self->plan);
  v->caller.codec = ccp_codec_of(L);
  return 0;
}

lua_State *ccp_vm_enter(ccp_self *self, ccp_running *base) {
  lua_State *L = luaL_newstate();
  if (!L)
    return NULL;
  *base = (ccp_running){L, L, NULL};
  atomic_store_explicit(&self->running, base, memory_order_release);
  current = self;
  ccp_vm_let_signal_in();
  return L;
}

void ccp_vm_leave(ccp_self *self, lua_State *L) {
  /* the handler must not touch a state that is being freed */
  atomic_store_explicit(&self->running, NULL, memory_order_release);
  lua_close(L);
  current = NULL;
}

/* ---------------------------------------------------------- running it */

/* Large replies are encoded right into an arena block, which the record names
** while it is in this worker's hands. */
static void *take_block(void *ud, size_t len, size_t *room) {
  vm *v = ud;
  void *block = ccp_arena_alloc(len, room);
  atomic_store(&v->loop.board->records[v->loop.me].block, block);
  return block;
}

static void give_block(void *ud, void *block) {
  vm *v = ud;
  void *mine = block;
  (void)atomic_compare_exchange_strong(
      &v->loop.board->records[v->loop.me].block, &mine, NULL);
  ccp_arena_free(block);
}

static void send(vm *v, int status) {
  ccp_buf *out = &v->caller.out;
  size_t len = out->len;
  void *block = NULL;
  /* what the task printed is out before its result is */
  if (v->self->plan->is_process && __fpending(stdout) > 0)
    (void)fflush(stdout);
  if (len > CCP_REPLY_BYTES)
    block = ccp_buf_detach(out);
  ccp_loop_reply(&v->loop, (uint8_t)status, out->data, len, block);
  if (out->cap > KEEP_BYTES)
    ccp_buf_trim(out, KEEP_BYTES);
}

/* A worker that has hit the limit of its memory is replaced: nobody knows what
** it still holds. */
static int spent(const vm *v, int status) {
  return v->cap.hit || (v->cap.alloc && status == CCP_R_MEMORY);
}

/* Stack: vm. Runs items until one fails or the worker shall end; one protected
** call serves many items. */
static int serve(lua_State *L) {
  vm *v = lua_touserdata(L, 1);
  const ccp_item *item;
  v->caller.fn = 0;
  while (!v->retire && (item = ccp_loop_next(&v->loop)) != NULL) {
    int status;
    v->in_item = 1;
    v->self->task = v->loop.claim.pos + 1;
    v->self->attempt = v->loop.claim.item == 0 ? v->loop.claim.attempt : 1;
    status = ccp_caller_run(L, &v->caller, item);
    v->in_item = 0;
    v->self->task = 0;
    send(v, status);
    v->retire = spent(v, status);
  }
  return 0;
}

static int protected_call(vm *v, lua_CFunction f) {
  lua_State *L = v->L;
  lua_settop(L, 0);
  lua_pushcfunction(L, ccp_caller_traceback);
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, v);
  return lua_pcall(L, 1, 0, 1);
}

/* What failed is told; with the error value on top. */
static int failed(vm *v, int status) {
  if (ccp_cap_is_error(&v->cap, v->L, status))
    status = LUA_ERRMEM;
  status = ccp_caller_failed(v->L, &v->caller, status);
  v->retire = spent(v, status);
  return status;
}

/* Stack: vm. */
static int finalize(lua_State *L) {
  const vm *v = lua_touserdata(L, 1);
  const ccp_plan *plan = v->self->plan;
  size_t used;
  int n =
      ccp_decode(L, plan->finalizer, plan->finalizer_len, &used, plan->funcs);
  lua_call(L, n - 1, 0);
  return 0;
}

/* Stack: error value. Pushes what there is to say of it. */
static int describe(lua_State *L) {
  (void)luaL_tolstring(L, 1, NULL);
  return 1;
}

static void run_finalizer(vm *v) {
  const ccp_plan *plan = v->self->plan;
  const char *text = NULL;
  uint32_t quit = atomic_load(&v->loop.board->records[v->self->index].quit);
  if (!plan->finalizer || quit == CCP_QUIT_STOP ||
      protected_call(v, finalize) == LUA_OK)
    return;
  lua_pushcfunction(v->L, describe);
  lua_insert(v->L, -2);
  if (lua_pcall(v->L, 1, 1, 0) == LUA_OK)
    text = lua_tostring(v->L, -1);
  (void)fprintf(stderr, "ccpool: error in the finalizer of %s_%u: %s\n",
                plan->name, v->self->index + 1, text ? text : "(no text)");
}

static void run(vm *v) {
  int status = protected_call(v, prepare);
  ccp_record *r = &v->loop.board->records[v->self->index];
  if (status != LUA_OK) {
    (void)failed(v, status); /* no bytes: for want of memory */
    v->loop.claim.slot = CCP_NO_SLOT;
    send(v, CCP_R_INIT);
    return;
  }
  atomic_store_explicit(&r->state, CCP_W_UP, memory_order_release);
  ccp_bell_ring(atomic_load(&v->loop.board->owner));
  while ((status = protected_call(v, serve)) != LUA_OK) {
    int reply = failed(v, status);
    if (!v->in_item) /* an error outside of any task: there is no going on */
      return;
    v->in_item = 0;
    v->self->task = 0;
    send(v, reply);
  }
  run_finalizer(v);
}

static int open_state(vm *v, lua_State *inherited) {
  v->L = inherited ? lua_newthread(inherited) : luaL_newstate();
  if (!v->L)
    return CCP_E_NOMEM;
  lua_sethook(v->L, NULL, 0, 0); /* a signal of the program is not ours */
  v->base = (ccp_running){v->L, v->L, NULL};
  atomic_store_explicit(&v->self->running, &v->base, memory_order_release);
  return CCP_OK;
}

/* What a process inherited does not count, what it takes does; beyond Lua's
** own memory the system sees to it. */
static void limit_memory(vm *v) {
  const ccp_plan *plan = v->self->plan;
  int64_t used = 0;
  if (plan->memory_limit == 0)
    return;
  if (plan->is_process)
    ccp_process_limit_memory(plan->memory_limit);
  else
    used =
        (int64_t)lua_gc(v->L, LUA_GCCOUNT) * 1024 + lua_gc(v->L, LUA_GCCOUNTB);
  ccp_cap_set(&v->cap, v->L, used, plan->memory_limit);
}

static void name_worker(const ccp_plan *plan, uint32_t index) {
  char name[16]; /* the system keeps no more; the number matters most */
  char number[12];
  int n = snprintf(number, sizeof number, "_%u", index + 1);
  (void)snprintf(name, sizeof name, "%.*s%s", (int)sizeof name - 1 - n,
                 plan->name, number);
  ccp_thread_name(name);
}

void ccp_vm_main(ccp_self *self, lua_State *inherited) {
  const ccp_plan *plan = self->plan;
  uint32_t index = self->index;
  ccp_record *r = &plan->board->records[index];
  vm v;
  memset(&v, 0, sizeof v);
  v.self = self;
  ccp_loop_init(&v.loop, plan->board, index);
  ccp_buf_init(&v.caller.out);
  v.blocks = (ccp_buf_blocks){CCP_REPLY_BYTES, &v, take_block, give_block};
  v.caller.out.blocks = &v.blocks;
  v.caller.funcs = plan->funcs;
  atomic_store(&r->pid, (int32_t)getpid());
  name_worker(plan, index);
  if (open_state(&v, inherited) == CCP_OK) {
    current = self;
    if (!plan->is_process)
      ccp_vm_let_signal_in();
    limit_memory(&v);
    run(&v);
    if (plan->is_process)
      plan->finish(v.L);
    else
      ccp_vm_leave(self, v.L);
    current = NULL;
  }
  ccp_buf_fini(&v.caller.out);
  atomic_store_explicit(&r->state, CCP_W_ENDED, memory_order_release);
  ccp_board_call_supervisor(plan->board);
}
