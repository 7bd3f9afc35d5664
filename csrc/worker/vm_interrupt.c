/*
** Interrupting. All but ccp_vm_interrupt runs in the worker's own thread, the
** handler too, so what they share needs no more order than a signal does.
*/
#include "worker/vm_interrupt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "os/codes.h"

enum {
  INTERRUPT = SIGURG, /* ignored by default, so a stray one does no harm */
  EVERYTHING = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT
};

/* ------------------------------------------------------------ the signal */

static int is_wanted(ccp_self *self) {
  int now = atomic_load_explicit(&self->interrupt, memory_order_relaxed);
  return now == CCP_I_RAISE || now == CCP_I_INSIST;
}

static void stop_hook(lua_State *L, lua_Debug *ar);

#ifdef __SANITIZE_THREAD__
/* The thread sanitizer holds a signal back until its thread makes a system
** call: a loop that makes none has to look by itself. */
enum { LOOK_EVERY = 1000 };

static void look_hook(lua_State *L, lua_Debug *ar) {
  ccp_self *self = ccp_self_get();
  if (!self || !is_wanted(self))
    return;
  lua_sethook(L, stop_hook, EVERYTHING, 1);
  stop_hook(L, ar);
}

void ccp_vm_unhook(lua_State *L) {
  lua_sethook(L, look_hook, LUA_MASKCOUNT, LOOK_EVERY);
}
#else
void ccp_vm_unhook(lua_State *L) {
  lua_sethook(L, NULL, 0, 0);
}
#endif

/* Several states may have this hook; the first that runs raises, the others
** find that it was done. */
static void stop_hook(lua_State *L, lua_Debug *ar) {
  ccp_self *self = ccp_self_get(); /* there is one: the handler saw it */
  int now = CCP_I_RAISE;
  (void)ar;
  if (atomic_compare_exchange_strong_explicit(
          &self->interrupt, &now, CCP_I_RAISED, memory_order_relaxed,
          memory_order_relaxed))
    ccp_vm_unhook(L);
  else if (now != CCP_I_INSIST) {
    ccp_vm_unhook(L);
    return;
  }
  luaL_error(L, "interrupted");
}

/* lua_sethook may be called at any moment by the thread that runs the state:
** the stand-alone interpreter does the same. */
static void on_signal(int sig) {
  int saved = errno;
  ccp_self *self = ccp_self_get();
  (void)sig;
  if (self && is_wanted(self)) {
    const ccp_running *r =
        atomic_load_explicit(&self->running, memory_order_acquire);
    for (; r; r = r->below) {
      lua_sethook(r->L, stop_hook, EVERYTHING, 1);
      lua_sethook(r->from, stop_hook, EVERYTHING, 1);
    }
  }
  errno = saved;
}

int ccp_vm_arm_signal(void) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_handler = on_signal; /* no SA_RESTART: it cuts system calls short */
  (void)sigemptyset(&sa.sa_mask);
  return sigaction(INTERRUPT, &sa, NULL) == 0 ? CCP_OK : CCP_E_SYS;
}

void ccp_vm_let_signal_in(void) {
  sigset_t set;
  (void)sigemptyset(&set);
  (void)sigaddset(&set, INTERRUPT);
  (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* The flag comes first: who sees the signal sees it. The signal is sent again
** also if the error was raised: it may have to end another system call. */
void ccp_vm_interrupt(ccp_self *self, pthread_t thread, int insist) {
  int none = CCP_I_NONE;
  if (insist)
    atomic_store(&self->interrupt, CCP_I_INSIST);
  else
    (void)atomic_compare_exchange_strong(&self->interrupt, &none, CCP_I_RAISE);
  (void)pthread_kill(thread, INTERRUPT);
}

int ccp_vm_is_told(void) {
  ccp_self *self = ccp_self_get();
  return self && is_wanted(self);
}

/* ------------------------------------------------------------ coroutines */

/* 'here' is on top of what runs until 'leave'. A handler that came too early
** to see it has left the flag set: then the hook is set here. */
static void enter(ccp_self *self, ccp_running *here) {
  here->below = atomic_load_explicit(&self->running, memory_order_relaxed);
  atomic_store_explicit(&self->running, here, memory_order_release);
  atomic_signal_fence(memory_order_seq_cst);
  if (is_wanted(self))
    lua_sethook(here->L, stop_hook, EVERYTHING, 1);
}

static void leave(ccp_self *self, const ccp_running *here) {
  atomic_store_explicit(&self->running, here->below, memory_order_release);
}

static int resume(lua_State *L, lua_State *co, int n, int *results) {
  ccp_self *self = ccp_self_get();
  ccp_running here = {co, L, NULL};
  int status;
  if (!self)
    return lua_resume(co, L, n, results);
  enter(self, &here);
  status = lua_resume(co, L, n, results);
  leave(self, &here);
  return status;
}

static int close_thread(lua_State *L, lua_State *co) {
#if LUA_VERSION_NUM < 505
  (void)L;
  return lua_resetthread(co);
#else
  return lua_closethread(co, L);
#endif
}

/* Closes the variables that wait to be closed: that runs their handlers. */
static int reset(lua_State *L, lua_State *co) {
  ccp_self *self = ccp_self_get();
  ccp_running here = {co, L, NULL};
  int status;
  if (!self)
    return close_thread(L, co);
  enter(self, &here);
  status = close_thread(L, co);
  leave(self, &here);
  return status;
}

static lua_State *check_coroutine(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTHREAD);
  return lua_tothread(L, 1);
}

/* Resumes with the n values on the top. Gives the number of results, which are
** on the top then, or -1 with the error there. */
static int resume_with(lua_State *L, lua_State *co, int n) {
  int results, status;
  if (!lua_checkstack(co, n)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, n);
  status = resume(L, co, n, &results);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return -1;
  }
  if (!lua_checkstack(L, results + 1)) {
    lua_pop(co, results);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, results);
  return results;
}

static int co_resume(lua_State *L) {
  lua_State *co = check_coroutine(L);
  int n = resume_with(L, co, lua_gettop(L) - 1);
  lua_pushboolean(L, n >= 0);
  lua_insert(L, n >= 0 ? -(n + 1) : -2);
  return n >= 0 ? n + 1 : 2;
}

/* An error in the coroutine closes it and is told with its place. */
static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int n = resume_with(L, co, lua_gettop(L)), status;
  if (n >= 0)
    return n;
  status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    status = reset(L, co);
    lua_xmove(co, L, 1);
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int co_wrap(lua_State *L) {
  lua_State *co;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrapped, 1);
  return 1;
}

/* What cannot be closed, or NULL. */
static const char *open_state(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (L == co)
    return "running";
  return lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar) ? "normal" : NULL;
}

/* From Lua 5.5 on a coroutine may close itself, which does not return: the
** function that has resumed it does, and leaves it as ever. */
static int co_close(lua_State *L) {
  int own = LUA_VERSION_NUM >= 505 && lua_isnone(L, 1);
  lua_State *co = own ? L : check_coroutine(L);
  const char *state = open_state(L, co);
  if (LUA_VERSION_NUM >= 505 && L == co) {
    if (lua_pushthread(L))
      return luaL_error(L, "cannot close main thread");
    (void)close_thread(L, co);
  }
  if (state)
    return luaL_error(L, "cannot close a %s coroutine", state);
  if (reset(L, co) == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_xmove(co, L, 1);
  return 2;
}

void ccp_vm_watch_coroutines(lua_State *L) {
  static const luaL_Reg functions[] = {{"resume", co_resume},
                                       {"wrap", co_wrap},
                                       {"close", co_close},
                                       {NULL, NULL}};
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  luaL_getsubtable(L, -1, LUA_COLIBNAME);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 2);
}
