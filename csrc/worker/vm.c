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

#include "os/codes.h"
#include "os/local.h"
#include "os/process.h"
#include "os/thread.h"
#include "shared/arena.h"
#include "worker/loop.h"
#include "worker/vm_call.h"
#include "worker/vm_interrupt.h"
#include "worker/vm_memory.h"

enum { KEEP_BYTES = 64 << 10 /* of the reply buffer, between replies */ };

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

/* Stack: vm. */
static int prepare(lua_State *L) {
  vm *v = lua_touserdata(L, 1);
  ccp_vm_prepare(L, v->self->plan);
  v->caller.codec = ccp_codec_of(L);
  return 0;
}

lua_State *ccp_vm_enter(ccp_self *self, ccp_running *base, ccp_nest *nest) {
  lua_State *L = ccp_nest_open(nest);
  if (!L)
    return NULL;
  *base = (ccp_running){L, L, NULL};
  atomic_store_explicit(&self->running, base, memory_order_release);
  ccp_self_set(self);
  ccp_vm_unhook(L);
  ccp_vm_let_signal_in();
  return L;
}

void ccp_vm_leave(ccp_self *self, lua_State *L, ccp_nest *nest) {
  /* the handler must not touch a state that is being freed */
  atomic_store_explicit(&self->running, NULL, memory_order_release);
  ccp_nest_close(nest, L);
  ccp_self_set(NULL);
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
    ccp_codec_settle(L, v->caller.codec);
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
  if (status != LUA_OK) {
    (void)failed(v, status); /* no bytes: for want of memory */
    v->loop.claim.slot = CCP_NO_SLOT;
    send(v, CCP_R_INIT);
    return;
  }
  ccp_board_come_up(v->loop.board, v->loop.me);
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

/* Without printf, which would touch a lot of pages in each worker. */
static void name_worker(const ccp_plan *plan, uint32_t index) {
  char name[16]; /* the system keeps no more; the number matters most */
  char number[12];
  size_t at = sizeof number, len = strlen(plan->name), room;
  number[--at] = '\0';
  for (uint32_t n = index + 1; n > 0; n /= 10)
    number[--at] = (char)('0' + n % 10);
  number[--at] = '_';
  room = sizeof name - (sizeof number - at);
  len = len < room ? len : room;
  memcpy(name, plan->name, len);
  memcpy(name + len, number + at, sizeof number - at);
  ccp_thread_name(name);
}

static void run_process(vm *v, lua_State *inherited) {
  v->L = inherited;
  v->base = (ccp_running){v->L, v->L, NULL};
  atomic_store_explicit(&v->self->running, &v->base, memory_order_release);
  ccp_self_set(v->self);
  limit_memory(v);
  run(v);
  v->self->plan->finish(v->L);
  ccp_self_set(NULL);
}

static void run_thread(vm *v) {
  ccp_nest nest;
  v->L = ccp_vm_enter(v->self, &v->base, &nest);
  if (!v->L)
    return;
  limit_memory(v);
  run(v);
  ccp_vm_leave(v->self, v->L, &nest);
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
  if (inherited)
    run_process(&v, inherited);
  else
    run_thread(&v);
  ccp_buf_fini(&v.caller.out);
  atomic_store_explicit(&r->state, CCP_W_ENDED, memory_order_release);
  ccp_board_call_supervisor(plan->board);
}
