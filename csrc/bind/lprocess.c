/*
** Processes by hand: a fork of the program as it stands, from the thread of
** the Lua state. For each, the program has a small thread that waits for the
** process, so its end is news at once, for whoever sleeps on whatever, and no
** number is used after the process was reaped.
*/
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "bind/lerror.h"
#include "bind/lexecutor.h"
#include "bind/lhand.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/fault.h"
#include "os/futex.h"
#include "os/process.h"
#include "shared/arena.h"
#include "shared/object.h"

#define NO_PROCESS UINT32_MAX /* as the id: the fork failed */

enum { NO_NOTE = -1, WATCHER_STACK_BYTES = 128 << 10 };

/* What this process is itself, or the ancestor that was one; its epoch. Written
** by a child that has one thread. */
static const ccp_hand *myself; /* one reference is ours */
static uint32_t my_epoch;

const char *ccp_process_hand_name(void) {
  return myself ? myself->name : NULL;
}

int ccp_process_is_self(const ccp_hand *h) {
  return h == myself && my_epoch == ccp_process_epoch();
}

/* ------------------------------------------------------------ in the child */

/* Ends the process as a program ends: what it has started is finished. The exit
** handlers of the program are the program's. */
static void leave(lua_State *L, int code) {
  ccp_client_finish(L);
  (void)fflush(NULL);
  if (ccp_process_is_self(myself)) /* a descendant may have its os.exit */
    atomic_store_explicit(&myself->note->exitcode, code & 0xff,
                          memory_order_release);
  CCP_FAULT("leave");
  _exit(code & 0xff);
}

static int child_exit(lua_State *L) {
  int code = EXIT_SUCCESS;
  if (lua_isboolean(L, 1))
    code = lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
  else
    code = (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
  leave(L, code);
  return 0;
}

/* Stack: target, arguments. A string becomes the function it names. */
static void resolve(lua_State *L) {
  const ccp_what what = {"argument", 0, 0};
  ccp_client *c = ccp_client_get(L);
  ccp_buf *out;
  size_t used;
  int rc;
  if (lua_type(L, 1) != LUA_TSTRING)
    return;
  out = ccp_client_draft(L, c, CCP_FRAME);
  rc = ccp_encode_call(L, 1, 1, what, out, NULL);
  if (rc != CCP_OK)
    (void)ccp_error_raise(L, rc, NULL);
  (void)ccp_decode(L, out->data, out->len, &used, NULL);
  ccp_client_drafted(c, out);
  lua_replace(L, 1);
}

/* Stack: target, arguments. */
static int call_target(lua_State *L) {
  ccp_plan plan = {0};
  plan.is_process = 1;
  ccp_vm_prepare_child(L);
  ccp_vm_prepare(L, &plan);
  if (lua_getglobal(L, LUA_OSLIBNAME) == LUA_TTABLE) {
    lua_pushcfunction(L, child_exit);
    lua_setfield(L, -2, "exit");
  }
  lua_pop(L, 1);
  resolve(L);
  lua_call(L, lua_gettop(L) - 1, 0);
  return 0;
}

/* Stack: hand (light userdata), target, arguments. Does not return, but may
** raise for want of memory. */
static int child_main(lua_State *L) {
  int status;
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, ccp_hand_traceback, 1);
  lua_replace(L, 1);
  lua_pushcfunction(L, call_target);
  lua_insert(L, 2);
  status = lua_pcall(L, lua_gettop(L) - 2, 0, 1);
  if (status != LUA_OK && status != LUA_ERRRUN)
    ccp_hand_report("process", myself->name,
                    status == LUA_ERRMEM ? "not enough memory"
                                         : "error in error handling");
  leave(L, status == LUA_OK ? EXIT_SUCCESS : EXIT_FAILURE);
  return 0;
}

/* Stack: ..., child_main and its arguments, n in all. An error must not get
** past here: what is below on the stack is the program. */
static _Noreturn void be_child(lua_State *L, ccp_hand *h, pid_t parent, int n,
                               lua_Hook hook) {
  if (lua_gethook(L) != hook) /* a signal of the program set it: not ours */
    lua_sethook(L, NULL, 0, 0);
  h->refs++; /* when the state is closed it is asked for, too */
  myself = h;
  my_epoch = ccp_process_epoch();
  if (!ccp_process_be_child(parent))
    _exit(EXIT_FAILURE);
  ccp_self_set(NULL);
  ccp_thread_name(h->name);
  CCP_FAULT("child");
  (void)lua_pcall(L, n - 1, 0, 0);
  ccp_hand_report("process", h->name, "not enough memory");
  _exit(EXIT_FAILURE);
}

/* ------------------------------------------------------ waiting for its end */

/* The number is still the process's own while the lock is held and it has not
** ended: it is reaped under the lock. If the program has reaped it, with
** wait(-1) or by ignoring SIGCHLD, only the child's own note tells how it
** ended. */
static void bury(ccp_hand *h, pid_t pid, const siginfo_t *info) {
  int32_t note = atomic_load_explicit(&h->note->exitcode, memory_order_acquire);
  ccp_lock_acquire(&h->lock);
  h->exit_known = info || note != NO_NOTE;
  if (info) {
    h->exitcode =
        info->si_code == CLD_EXITED ? info->si_status : -info->si_status;
    (void)waitpid(pid, NULL, WNOHANG);
  } else
    h->exitcode = note;
  ccp_hand_ended_locked(h);
  ccp_lock_release(&h->lock);
}

static void watch(void *arg) {
  ccp_hand *h = arg;
  uint32_t id;
  siginfo_t info;
  int rc;
  ccp_thread_name("ccpool-watch");
  while ((id = atomic_load_explicit(&h->id, memory_order_acquire)) == 0)
    (void)ccp_futex_wait(&h->id, 0, CCP_NEVER);
  if (id == NO_PROCESS)
    return;
  do {
    memset(&info, 0, sizeof info);
    rc = waitid(P_PID, (id_t)id, &info, WEXITED | WNOWAIT);
  } while (rc != 0 && errno == EINTR);
  ccp_object_reap_process((int32_t)id);
  bury(h, (pid_t)id, rc == 0 ? &info : NULL);
}

/* ------------------------------------------------------------ in its owner */

static void ready(lua_State *L, ccp_hand *h) {
  if (!h->note) {
    h->note = ccp_arena_alloc(sizeof *h->note, NULL);
    if (!h->note)
      (void)ccp_error_raise(L, CCP_E_NOMEM, NULL);
  }
  atomic_init(&h->note->exitcode, NO_NOTE);
  atomic_store(&h->id, 0);
  if (ccp_thread_start(&h->thread, watch, h, WATCHER_STACK_BYTES) != CCP_OK)
    (void)ccp_error_raise(L, CCP_E_SYS, "pthread_create");
}

static void tell_watcher(ccp_hand *h, uint32_t id) {
  atomic_store_explicit(&h->id, id, memory_order_release);
  ccp_futex_wake(&h->id, CCP_WAKE_ALL);
}

/* process_start(hand, target, ...)
** A hook that a signal has set before has run by now, when this was called. */
static int core_process_start(lua_State *L) {
  lua_Hook hook = lua_gethook(L);
  ccp_hand *h = ccp_hand_check_new(L, 1);
  ccp_client *c = ccp_client_get(L);
  pid_t self = getpid(), pid;
  ccp_check_target(L, 2);
  luaL_checkstack(L, 10, "too many arguments");
  lua_pushcfunction(L, child_main);
  lua_insert(L, 2);
  lua_pushlightuserdata(L, h);
  lua_insert(L, 3);
  ready(L, h);
  pid = ccp_process_fork(NULL, 0);
  if (pid == 0)
    be_child(L, h, self, lua_gettop(L) - 1, hook);
  if (pid < 0) {
    int err = errno;
    tell_watcher(h, NO_PROCESS);
    (void)ccp_thread_join(&h->thread, CCP_NEVER);
    errno = err;
    return ccp_error_raise(L, CCP_E_SYS, "fork");
  }
  (void)setpgid(pid, pid); /* the child does it too: whoever comes first */
  ccp_hand_started(c, h);
  tell_watcher(h, (uint32_t)pid);
  return 0;
}

void ccp_process_signal(ccp_hand *h, int sig) {
  ccp_lock_acquire(&h->lock);
  if (ccp_hand_state(h) == CCP_H_RUNNING) {
    pid_t pid = (pid_t)atomic_load(&h->id);
    if (sig == SIGKILL) {
      (void)kill(-pid, sig); /* what it has started, too */
      (void)kill(pid, sig);
    } else {
      (void)kill(pid, sig);
      (void)kill(pid, SIGCONT); /* or a stopped process would never get it */
    }
  }
  ccp_lock_release(&h->lock);
}

void ccp_process_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"process_start", core_process_start},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
