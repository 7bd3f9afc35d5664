/*
** The inline executor's way of running: encode, decode, call, encode, decode,
** so that what works here works in a worker.
*/
#include "bind/lserial.h"

#include <string.h>

#include <lauxlib.h>

#include "bind/lerror.h"
#include "bind/lfuture.h"
#include "os/clock.h"
#include "os/codes.h"
#include "worker/vm_call.h"

typedef struct inline_run {
  ccp_caller caller;
  const ccp_item *item;
  int status;
  int64_t until_ns; /* its time is up then */
  int64_t grace_ns;
  int64_t insist_ns; /* late: from then on it fails wherever it gets to */
  int is_late;
  int interrupted; /* it, and the program around it; by Ctrl-C for example */
  uint32_t runs;   /* of one task */
  lua_State *L;    /* the one that the item was called in */
} inline_run;

enum { HOOK_EVERY = 1000 }; /* instructions between two looks at the clock */

static const char run_key = 0, interrupt_key = 0; /* addresses: registry keys */

/* The inline_run whose call is at work; those around it wait. Its error is
** raised once, so that handlers can put things in order. What goes on after the
** grace period gets it at every instruction, in the coroutine at hand and
** below: then a pcall that catches it is left by the next one. */
static void watch_clock(lua_State *L, lua_Debug *ar) {
  inline_run *r;
  int64_t now = ccp_clock_now_ns();
  (void)ar;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &run_key);
  r = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (!r || now < (r->is_late ? r->insist_ns : r->until_ns))
    return;
  if (r->is_late) {
    lua_sethook(L, watch_clock, LUA_MASKCOUNT, 1);
    lua_sethook(r->L, watch_clock, LUA_MASKCOUNT, 1);
  } else
    r->insist_ns = now + r->grace_ns;
  r->is_late = 1;
  luaL_error(L, "interrupted: the task's time is up");
}

static int call_watched(lua_State *L, inline_run *r, int base) {
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L), count = lua_gethookcount(L), status;
  void *around;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &run_key);
  around = lua_touserdata(L, -1);
  lua_pop(L, 1);
  lua_pushlightuserdata(L, r);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &run_key);
  r->L = L;
  lua_sethook(L, watch_clock, LUA_MASKCOUNT, HOOK_EVERY);
  status = lua_pcall(L, 1, 0, base + 1);
  if (!lua_gethook(L) || lua_gethook(L) == watch_clock)
    lua_sethook(L, hook, mask, count); /* else a signal has just set its own */
  lua_pushlightuserdata(L, around);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &run_key);
  return status;
}

/* Stack: inline_run. */
static int protected_item(lua_State *L) {
  inline_run *r = lua_touserdata(L, 1);
  r->caller.fn = 0;
  r->status = ccp_caller_run(L, &r->caller, r->item);
  return 0;
}

/* Message handler. What a hook of C code raises, that of Ctrl-C or of a worker
** that is told to stop, is meant for the whole program and not for the call at
** hand: it is kept, to be known again by the calls around this one. */
static int take_message(lua_State *L) {
  lua_Debug ar;
  if (lua_getstack(L, 0, &ar) && ccp_error_is_hook(L, &ar)) {
    lua_pushvalue(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &interrupt_key);
  }
  return ccp_caller_traceback(L);
}

/* Is the error on the top such an interruption? */
static int is_interruption(lua_State *L) {
  int same = lua_rawgetp(L, LUA_REGISTRYINDEX, &interrupt_key) != LUA_TNIL &&
             lua_rawequal(L, -1, -2);
  lua_pop(L, 1);
  return same;
}

static int raise_interruption(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &interrupt_key);
  return lua_error(L);
}

static void run_item(lua_State *L, inline_run *r, const ccp_item *item) {
  int base = lua_gettop(L), status;
  luaL_checkstack(L, 4, NULL);
  r->item = item;
  r->interrupted = 0;
  lua_pushcfunction(L, take_message);
  lua_pushcfunction(L, protected_item);
  lua_pushlightuserdata(L, r);
  status = r->until_ns == CCP_NEVER ? lua_pcall(L, 1, 0, base + 1)
                                    : call_watched(L, r, base);
  if (status != LUA_OK) {
    r->interrupted = !r->is_late && is_interruption(L);
    r->status = ccp_caller_failed(L, &r->caller, status);
  }
  lua_settop(L, base);
}

/* In the words of a pool; is_deadline: it was that which has passed. */
static void say_late(inline_run *r, const ccp_rules *view, int is_deadline) {
  char text[CCP_RULES_TEXT];
  ccp_rules_say_late(view, is_deadline, text);
  ccp_buf_reset(&r->caller.out);
  (void)ccp_buf_put(&r->caller.out, text, strlen(text));
  r->status = CCP_R_TIMEOUT;
}

/* The row of an executor without workers is that of a first one. */
static void note_run(ccp_inline *in, const ccp_rules *view, uint64_t number,
                     int64_t began_ns) {
  int64_t now = ccp_clock_now_ns();
  if (in->off_record)
    return;
  ccp_histogram_add(&in->ran, now - began_ns, 1);
  if (!in->trace)
    return;
  ccp_trace_item(in->trace, 0, 0, view ? view->name : NULL, number, began_ns,
                 now);
  if (ccp_trace_is_due(in->trace))
    ccp_trace_flush(in->trace);
}

/* Runs the item as its rules say; deadline_ns: CCP_NEVER for none. */
static void run_by_rules(lua_State *L, inline_run *r, const ccp_item *item,
                         const ccp_rules *view, int64_t deadline_ns,
                         ccp_inline *in) {
  ccp_inline unused = {0};
  ccp_pool_counts *counts = in->off_record ? &unused.counts : &in->counts;
  uint64_t number = counts->submitted + 1;
  uint32_t left = view ? view->retries : 0;
  counts->submitted++;
  r->runs = 0;
  for (;;) {
    int64_t now = ccp_clock_now_ns();
    r->is_late =
        now >= deadline_ns || (view && view->timeout_ns == CCP_NO_TIME);
    r->until_ns = view && view->timeout_ns ? now + view->timeout_ns : CCP_NEVER;
    r->until_ns = r->until_ns < deadline_ns ? r->until_ns : deadline_ns;
    if (!r->is_late) {
      run_item(L, r, item);
      note_run(in, view, number, now);
      r->runs++;
    }
    if (r->interrupted) {
      ccp_buf_reset(&r->caller.out);
      r->status = CCP_R_CANCELLED;
      counts->cancelled++;
      return;
    }
    if (r->is_late) {
      say_late(r, view, r->until_ns == deadline_ns);
      counts->timeouts++;
    }
    if (r->status != CCP_R_TIMEOUT || left == 0 ||
        ccp_clock_now_ns() >= deadline_ns ||
        view->timeout_ns == CCP_NO_TIME) /* that does not start at all */
      break;
    left--;
    counts->retries++;
  }
  if (r->status == CCP_R_VALUES)
    counts->done++;
  else
    counts->failed++;
}

static int64_t deadline_of(const ccp_rules *view) {
  if (!view || view->deadline_ns == CCP_NEVER)
    return CCP_NEVER;
  return ccp_clock_now_ns() + view->deadline_ns;
}

/* The reply buffer must not be lost when the last step raises. */
static int free_run(lua_State *L) {
  ccp_buf_fini(&((inline_run *)lua_touserdata(L, 1))->caller.out);
  return 0;
}

static inline_run *push_run(lua_State *L, int64_t grace_ns) {
  inline_run *r = lua_newuserdatauv(L, sizeof *r, 0);
  memset(r, 0, sizeof *r);
  r->grace_ns = grace_ns;
  ccp_buf_init(&r->caller.out);
  r->caller.codec = ccp_codec_of(L);
  if (luaL_newmetatable(L, "ccpool.inline_run")) {
    lua_pushcfunction(L, free_run);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return r;
}

void ccp_serial_call(lua_State *L, const void *body, size_t len, int future,
                     const struct ccp_funcs *funcs, const ccp_rules *view,
                     ccp_inline *in) {
  inline_run *r = push_run(L, in->grace_ns);
  ccp_item item = {NULL, 0, (const unsigned char *)body + 1, len - 1, 1};
  r->caller.funcs = funcs;
  run_by_rules(L, r, &item, view, deadline_of(view), in);
  ccp_future_settle(L, future, (uint8_t)r->status, r->caller.out.data,
                    r->caller.out.len);
  if (r->runs > 0)
    ccp_future_ran_here(L, future, r->runs - 1);
  ccp_buf_fini(&r->caller.out);
  if (r->interrupted)
    (void)raise_interruption(L);
  lua_pop(L, 1);
}

typedef struct claimed {
  ccp_pool *pool;
  ccp_task *task;
  int begun, ended;
} claimed;

/* Stack: claimed. */
static int run_claimed(lua_State *L) {
  claimed *mine = lua_touserdata(L, 1);
  ccp_pool *pool = mine->pool;
  ccp_task *t = mine->task;
  inline_run *r;
  mine->begun = 1;
  r = push_run(L, 0); /* what has to be stopped in time is not run here */
  ccp_item item = {NULL, 0, ccp_bytes_at(&t->body) + 1, t->body.len - 1, 1};
  r->caller.funcs = ccp_pool_funcs(pool);
  r->until_ns = CCP_NEVER;
  run_item(L, r, &item);
  mine->ended = 1;
  ccp_pool_end_claimed(pool, t, (uint8_t)r->status, r->caller.out.data,
                       r->caller.out.len);
  ccp_buf_fini(&r->caller.out);
  return 0;
}

/* The error on the top, which it pops, is how the task ends. */
static void end_with_error(lua_State *L, const claimed *mine, int status) {
  ccp_caller caller;
  memset(&caller, 0, sizeof caller);
  ccp_buf_init(&caller.out);
  status = ccp_caller_failed(L, &caller, status);
  ccp_pool_end_claimed(mine->pool, mine->task, (uint8_t)status, caller.out.data,
                       caller.out.len);
  ccp_buf_fini(&caller.out);
}

/* A hook may raise before the first step: this is no concern of the task, which
** is tried again. It may raise after the last: then the task has ended. Between
** the two only want of memory can come here. */
int ccp_serial_run(lua_State *L, ccp_pool *pool, ccp_task *t) {
  claimed mine = {pool, t, 0, 0};
  int top = lua_gettop(L), raised = 0;
  for (int tries = 0; tries < 2 && !mine.begun; tries++) {
    int status;
    lua_pushcfunction(L, run_claimed);
    lua_pushlightuserdata(L, &mine);
    status = lua_pcall(L, 1, 0, 0);
    if (status == LUA_OK)
      break;
    raised = status == LUA_ERRRUN && (!mine.begun || mine.ended);
    if (!raised || (tries == 1 && !mine.ended)) {
      lua_pushvalue(L, -1);
      end_with_error(L, &mine, status);
      break;
    }
  }
  lua_settop(L, raised ? top + 1 : top);
  return raised;
}

static const unsigned char *part(const unsigned char *p, size_t *len) {
  uint32_t n;
  memcpy(&n, p, sizeof n);
  *len = n;
  return p + sizeof n;
}

int ccp_serial_chunk(lua_State *L, ccp_chunk *chunk, const ccp_rules *view,
                     ccp_inline *in) {
  int64_t deadline_ns = deadline_of(view);
  inline_run *r;
  ccp_item item = {0};
  chunk->task.final = 1; /* no pool knows it */
  r = push_run(L, in->grace_ns);
  item.fn = part(ccp_bytes_at(&chunk->task.body) + 1, &item.fn_len);
  item.args = item.fn;
  item.args_len = item.fn_len;
  item.first = 1;
  for (uint32_t i = 0; i < chunk->task.items; i++) {
    item.args = part(item.args + item.args_len, &item.args_len);
    if (!r->interrupted)
      run_by_rules(L, r, &item, view, deadline_ns, in);
    if (ccp_chunk_add_reply(chunk, (uint8_t)r->status, r->caller.out.data,
                            r->caller.out.len, 0) != CCP_OK)
      chunk->task.status = CCP_R_MEMORY;
  }
  chunk->reading = chunk->replies;
  ccp_bytes_init(&chunk->replies);
  chunk->known = chunk->task.items;
  chunk->finished = 1;
  ccp_buf_fini(&r->caller.out);
  if (r->interrupted) { /* what is left of the chunk was cancelled */
    lua_rawgetp(L, LUA_REGISTRYINDEX, &interrupt_key);
    return 1;
  }
  lua_pop(L, 1);
  return 0;
}
