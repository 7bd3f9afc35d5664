/*
** What threads and processes by hand have in common: the object, joining, the
** end of the program. Runs in the thread of the Lua state, but for
** ccp_hand_ended_locked, and for the end, which may come from an exit handler.
*/
#include "bind/lhand.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/lerror.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/fd.h"
#include "os/futex.h"
#include "os/process.h"
#include "shared/arena.h"
#include "task/replies.h"
#include "worker/vm_call.h"

#define CLASS "ccpool.hand"

enum {
  GRACE_NS = 1000000000, /* between asking a daemon to stop and giving it up */
  AGAIN_NS = 50000000    /* between two interruptions of a thread */
};

/* ------------------------------------------------------------ life */

/* In a descendant the copy's descriptors and blocks are an ancestor's. */
static void unref(ccp_hand *h) {
  if (--h->refs > 0)
    return;
  if (h->epoch == ccp_process_epoch()) {
    ccp_process_close_fd(h->fd);
    ccp_arena_free(h->note);
  }
  ccp_buf_fini(&h->call);
  ccp_buf_fini(&h->reply);
  free(h->plan.prelude);
  free(h->plan.path);
  free(h->plan.cpath);
  free(h->name);
  free(h);
}

/* Frees those that have ended, unless an object still points to them. */
static void sweep(ccp_client *c) {
  for (ccp_hand **at = &c->hands; *at;) {
    ccp_hand *h = *at;
    if (ccp_hand_state(h) == CCP_H_ENDED) {
      (void)ccp_thread_join(&h->thread, CCP_NEVER); /* it has nothing left */
      *at = h->next;
      unref(h);
    } else
      at = &h->next;
  }
}

static int hand__gc(lua_State *L) {
  ccp_hand **box = lua_touserdata(L, 1);
  ccp_hand *h = *box;
  *box = NULL;
  if (h)
    unref(h);
  return 0;
}

/* hand(is_process, name, daemon) -> a new one. The client comes first, so that
** it is finalized last. */
static int core_hand(lua_State *L) {
  const char *name = luaL_checkstring(L, 2);
  ccp_hand **box;
  ccp_hand *h;
  (void)ccp_client_get(L);
  box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  if (luaL_newmetatable(L, CLASS)) {
    lua_pushcfunction(L, hand__gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  h = *box = calloc(1, sizeof *h);
  if (!h)
    return ccp_error_raise(L, CCP_E_NOMEM, NULL);
  h->refs = 1;
  h->epoch = ccp_process_epoch();
  h->is_process = (uint8_t)lua_toboolean(L, 1);
  h->daemon = (uint8_t)lua_toboolean(L, 3);
  h->fd = -1;
  ccp_lock_init(&h->lock, CCP_RANK_HAND);
  ccp_buf_init(&h->call);
  ccp_buf_init(&h->reply);
  h->name = strdup(name);
  return h->name ? 1 : ccp_error_raise(L, CCP_E_NOMEM, NULL);
}

static const char *noun(const ccp_hand *h) {
  return h->is_process ? "process" : "thread";
}

ccp_hand *ccp_hand_check(lua_State *L, int arg) {
  ccp_hand *h = *(ccp_hand **)luaL_checkudata(L, arg, CLASS);
  if (h->epoch == ccp_process_epoch())
    return h;
  if (ccp_process_is_self(h))
    luaL_error(L, "a process cannot do that with itself");
  luaL_error(L, "this %s belongs to the process that made it", noun(h));
  return NULL;
}

ccp_hand *ccp_hand_check_new(lua_State *L, int arg) {
  ccp_hand *h = ccp_hand_check(L, arg);
  if (h->closed)
    luaL_error(L, "this %s is closed", noun(h));
  if (ccp_hand_state(h) != CCP_H_NEW)
    luaL_error(L, "this %s was started already", noun(h));
  sweep(ccp_client_get(L));
  return h;
}

static ccp_hand *check_started(lua_State *L, int arg) {
  ccp_hand *h = ccp_hand_check(L, arg);
  if (h->closed)
    luaL_error(L, "this %s is closed", noun(h));
  if (ccp_hand_state(h) == CCP_H_NEW)
    luaL_error(L, "this %s was not started", noun(h));
  return h;
}

void ccp_hand_started(ccp_client *c, ccp_hand *h) {
  h->bell = c->bell;
  h->refs++;
  h->next = c->hands;
  c->hands = h;
  atomic_store_explicit(&h->state, CCP_H_RUNNING, memory_order_seq_cst);
}

/* The state comes first, then the word: who read the word before it looked at
** the state does not sleep on it. */
void ccp_hand_ended_locked(ccp_hand *h) {
  atomic_store_explicit(&h->state, CCP_H_ENDED, memory_order_seq_cst);
  if (h->bell)
    ccp_bell_kick(h->bell);
  if (h->fd >= 0)
    ccp_fd_ring(h->fd);
}

/* ------------------------------------------------------------ looking at it */

static int has_ended(lua_State *L, void *ud) {
  (void)L;
  return ccp_hand_state(ud) == CCP_H_ENDED;
}

/* hand_join(hand, timeout) -> true once it has ended, false when the time is
** up. */
static int core_join(lua_State *L) {
  ccp_hand *h = check_started(L, 1);
  int64_t deadline = ccp_check_timeout(L, 2);
  int rc = ccp_client_wait(L, ccp_client_get(L), NULL, deadline, has_ended, h);
  if (rc == CCP_OK)
    (void)ccp_thread_join(&h->thread, CCP_NEVER);
  lua_pushboolean(L, rc == CCP_OK);
  return 1;
}

/* hand_alive(hand) -> does it run? */
static int core_alive(lua_State *L) {
  const ccp_hand *h = ccp_hand_check(L, 1);
  lua_pushboolean(L, ccp_hand_state(h) == CCP_H_RUNNING);
  return 1;
}

/* hand_look(hand) -> "initial", "running", "ended" or "foreign"; ident;
** exitcode. Raises nothing: other processes may look at it, too. */
static int core_look(lua_State *L) {
  static const char *const states[] = {"initial", "running", "ended"};
  ccp_hand *h = *(ccp_hand **)luaL_checkudata(L, 1, CLASS);
  uint32_t state = ccp_hand_state(h);
  uint32_t id = atomic_load_explicit(&h->id, memory_order_acquire);
  if (h->epoch != ccp_process_epoch()) {
    lua_pushstring(L, "foreign");
    if (!ccp_process_is_self(h))
      return 1;
    lua_pushinteger(L, getpid());
    return 2;
  }
  lua_pushstring(L, h->closed ? "closed" : states[state]);
  if (state == CCP_H_NEW)
    return 1;
  lua_pushinteger(L, id);
  if (state != CCP_H_ENDED || !h->exit_known)
    return 2;
  lua_pushinteger(L, h->exitcode); /* seen: it was written before the state */
  return 3;
}

/* hand_getfd(hand) -> a descriptor that is readable once it has ended. */
static int core_getfd(lua_State *L) {
  ccp_hand *h = check_started(L, 1);
  if (h->fd < 0) {
    int fd = ccp_fd_event();
    if (fd < 0)
      return ccp_error_raise(L, CCP_E_SYS, "eventfd");
    if (ccp_process_own_fd(fd) != CCP_OK) {
      ccp_fd_close(fd);
      return ccp_error_raise(L, CCP_E_NOMEM, NULL);
    }
    ccp_lock_acquire(&h->lock);
    h->fd = fd;
    if (ccp_hand_state(h) == CCP_H_ENDED)
      ccp_fd_ring(fd);
    ccp_lock_release(&h->lock);
  }
  lua_pushinteger(L, h->fd);
  return 1;
}

/* hand_stop(hand, signal): asks it to stop; a thread stops for any signal. */
static int core_stop(lua_State *L) {
  ccp_hand *h = check_started(L, 1);
  int sig = (int)luaL_checkinteger(L, 2);
  if (h->is_process)
    ccp_process_signal(h, sig);
  else
    ccp_thread_interrupt(h, sig == SIGKILL);
  return 0;
}

/* hand_close(hand): gives up what it holds; an error while it runs. */
static int core_close(lua_State *L) {
  ccp_hand *h = ccp_hand_check(L, 1);
  int fd;
  if (ccp_hand_state(h) == CCP_H_RUNNING)
    return luaL_error(L, "this %s is running: join it before closing it",
                      noun(h));
  ccp_lock_acquire(&h->lock);
  fd = h->fd;
  h->fd = -1;
  ccp_lock_release(&h->lock);
  ccp_process_close_fd(fd);
  ccp_buf_fini(&h->reply);
  h->closed = 1;
  sweep(ccp_client_get(L));
  return 0;
}

int ccp_hand_current(lua_State *L, const ccp_self *self) {
  const char *name = self ? self->plan->name : ccp_process_hand_name();
  if (!name)
    return 0;
  lua_pushstring(L, self ? "thread" : "process");
  lua_pushnil(L);
  lua_pushstring(L, name);
  lua_pushinteger(L, getpid());
  return 4;
}

void ccp_hand_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"hand", core_hand},        {"hand_join", core_join},
      {"hand_alive", core_alive}, {"hand_look", core_look},
      {"hand_getfd", core_getfd}, {"hand_stop", core_stop},
      {"hand_close", core_close}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  ccp_thread_functions(L);
  ccp_process_functions(L);
}

/* ------------------------------------------------------------ reporting */

/* In one piece: lines of several threads are not mixed. */
void ccp_hand_report(const char *kind, const char *name, const char *text) {
  char *all = NULL;
  int n = asprintf(&all, "ccpool: uncaught error in %s '%s': %s\n", kind, name,
                   text);
  if (n < 0)
    return;
  (void)fwrite(all, 1, (size_t)n, stderr);
  (void)fflush(stderr);
  free(all);
}

/* Stack: error value. The text of an error object may be code that fails. */
static int report(lua_State *L) {
  const ccp_hand *h = lua_touserdata(L, lua_upvalueindex(1));
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 2);
  ccp_hand_report(noun(h), h->name, lua_tostring(L, -1));
  return 0;
}

int ccp_hand_traceback(lua_State *L) {
  ccp_hand *h = lua_touserdata(L, lua_upvalueindex(1));
  (void)ccp_caller_traceback(L); /* leaves the error value alone */
  if (!h->is_process && atomic_load(&h->self.interrupt) != CCP_I_NONE)
    return 1; /* it was asked to stop */
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, report, 1);
  lua_pushvalue(L, 1);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK)
    ccp_hand_report(noun(h), h->name, "(an error without a text)");
  lua_settop(L, 1);
  return 1;
}

/* ------------------------------------------------------------ at the end */

int ccp_hands_open(const ccp_client *c) {
  for (const ccp_hand *h = c->hands; h; h = h->next)
    if (!h->daemon && ccp_hand_state(h) == CCP_H_RUNNING)
      return 1;
  return 0;
}

/* Asks those that run to stop; how many there are. */
static int stop_all(ccp_client *c, int first, int last) {
  int n = 0;
  for (ccp_hand *h = c->hands; h; h = h->next) {
    if (ccp_hand_state(h) != CCP_H_RUNNING)
      continue;
    n++;
    if (!h->is_process)
      ccp_thread_interrupt(h, last);
    else if (first || last)
      ccp_process_signal(h, last ? SIGKILL : SIGTERM);
  }
  return n;
}

void ccp_hands_end(ccp_client *c) {
  int64_t begun = ccp_clock_now_ns(), now = begun;
  int first = 1;
  for (;;) {
    uint32_t word = atomic_load_explicit(&c->bell->word, memory_order_seq_cst);
    int last = now - begun >= GRACE_NS;
    if (stop_all(c, first, last) == 0)
      break;
    first = 0;
    if (now - begun >= 2 * GRACE_NS)
      break; /* what is stuck in C code is left alone */
    (void)ccp_futex_wait(&c->bell->word, word, now + AGAIN_NS);
    now = ccp_clock_now_ns();
  }
  sweep(c);
}

/* One that still runs keeps its memory for good. */
void ccp_hands_leave(ccp_client *c) {
  int ours = c->epoch == ccp_process_epoch();
  while (c->hands) {
    ccp_hand *h = c->hands;
    c->hands = h->next;
    if (ours) {
      ccp_lock_acquire(&h->lock);
      h->bell = NULL;
      ccp_lock_release(&h->lock);
    }
    if (!ours || ccp_hand_state(h) == CCP_H_ENDED) {
      if (ours)
        (void)ccp_thread_join(&h->thread, CCP_NEVER);
      unref(h);
    }
  }
}
