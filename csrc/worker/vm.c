/*
** A worker's Lua state. Everything here runs in the worker's own thread, the
** signal handler too.
*/
#include "worker/vm.h"

#include <errno.h>
#include <signal.h>
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
#include "worker/vm_load.h"

enum {
  CREDIT_KB = 32 << 10, /* a child may allocate that before it collects, or as
                           much as it inherited */
  KEEP_BYTES = 64 << 10 /* of the reply buffer, between replies */
};

typedef struct vm {
  lua_State *L;
  ccp_self *self; /* borrowed */
  ccp_loop loop;
  ccp_caller caller;
  ccp_buf_blocks blocks;
  int in_item;
} vm;

static _Thread_local ccp_self *current;

ccp_self *ccp_self_get(void) {
  return current;
}

/* ---------------------------------------------------------- interrupting */

static void stop_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  if (current &&
      atomic_load_explicit(&current->interrupt, memory_order_relaxed))
    luaL_error(L, "interrupted");
}

/* lua_sethook may be called at any moment by the thread that runs the state:
** the stand-alone interpreter does the same. */
static void on_signal(int sig) {
  int saved = errno;
  (void)sig;
  if (current && current->running &&
      atomic_load_explicit(&current->interrupt, memory_order_relaxed))
    lua_sethook(current->running, stop_hook,
                LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
  errno = saved;
}

int ccp_vm_signal(void) {
  return SIGURG; /* ignored by default, so a stray one does no harm */
}

int ccp_vm_arm_signal(void) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_handler = on_signal; /* no SA_RESTART: it cuts system calls short */
  (void)sigemptyset(&sa.sa_mask);
  return sigaction(ccp_vm_signal(), &sa, NULL) == 0 ? CCP_OK : CCP_E_SYS;
}

static void let_signal_in(void) {
  sigset_t set;
  (void)sigemptyset(&set);
  (void)sigaddset(&set, ccp_vm_signal());
  (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
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
    lua_pop(L, 1);
  } else
    lua_settop(L, 1);
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

/* Stack: vm. The collector of a child starts late: its marks would copy every
** page of the heap that the child shares with its parent. */
static int prepare(lua_State *L) {
  vm *v = lua_touserdata(L, 1);
  const ccp_plan *plan = v->self->plan;
  if (plan->is_process) {
    int heap_kb = lua_gc(L, LUA_GCCOUNT);
    (void)lua_gc(L, LUA_GCSTEP, heap_kb > CREDIT_KB ? -heap_kb : -CREDIT_KB);
    replace_exit(L, process_exit);
  } else
    open_thread_state(L, plan);
  seed(L);
  lua_settop(L, 1);
  v->caller.codec = ccp_codec_of(L);
  ccp_codec_inherit(L);
  if (plan->prelude)
    run_prelude(L, plan);
  return 0;
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

/* Stack: vm. Runs items until one fails or the worker shall end; one protected
** call serves many items. */
static int serve(lua_State *L) {
  vm *v = lua_touserdata(L, 1);
  const ccp_item *item;
  v->caller.fn = 0;
  while ((item = ccp_loop_next(&v->loop)) != NULL) {
    int status;
    v->in_item = 1;
    v->self->task = v->loop.claim.pos + 1;
    status = ccp_caller_run(L, &v->caller, item);
    v->in_item = 0;
    send(v, status);
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

static void run(vm *v) {
  int status = protected_call(v, prepare);
  ccp_record *r = &v->loop.board->records[v->self->index];
  if (status != LUA_OK) {
    (void)ccp_caller_failed(v->L, &v->caller, status);
    v->loop.claim.slot = CCP_NO_SLOT;
    send(v, CCP_R_INIT);
    return;
  }
  atomic_store_explicit(&r->state, CCP_W_UP, memory_order_release);
  ccp_bell_ring(atomic_load(&v->loop.board->owner));
  while ((status = protected_call(v, serve)) != LUA_OK) {
    int reply = ccp_caller_failed(v->L, &v->caller, status);
    if (!v->in_item) /* an error outside of any task: there is no going on */
      return;
    v->in_item = 0;
    send(v, reply);
  }
}

static int open_state(vm *v, lua_State *inherited) {
  v->L = inherited ? lua_newthread(inherited) : luaL_newstate();
  if (!v->L)
    return CCP_E_NOMEM;
  v->self->running = v->L;
  return CCP_OK;
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
      let_signal_in();
    run(&v);
    if (plan->is_process)
      plan->finish(v.L);
    else
      lua_close(v.L);
    current = NULL;
  }
  ccp_buf_fini(&v.caller.out);
  atomic_store_explicit(&r->state, CCP_W_ENDED, memory_order_release);
  ccp_board_call_supervisor(plan->board);
}
