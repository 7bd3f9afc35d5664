/*
** One C module is loaded at a time: many an initializer fills static tables
** without asking whether another thread does so. Any thread.
**
** This lock is held across a call into Lua, the one that is so: `luaopen_NAME`
** may do anything, and often requires other modules. Therefore a thread that
** holds it may take it again, and nobody takes it while holding another lock of
** ours. Who waits in its initializer for a thread that loads a C module waits
** for ever. The program's own state does not take it.
**
** A child process has only the thread that forked. If another held the lock
** then, the word names an earlier epoch of the process, and that means free.
**
** A child that was forked while a file was being opened or closed would have
** the loader of shared libraries as it stood half-way, and could open none
** itself. So who forks waits until that is done, whoever forks.
*/
#include "worker/vm_load.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include <lauxlib.h>
#include <lualib.h>

#include "os/clock.h"
#include "os/futex.h"
#include "os/local.h"
#include "os/process.h"

enum { FREE = 0, HELD = 1, WANTED = 2, STATES = 4 };
enum { PATIENCE_S = 5 };

/* Epoch of the process * STATES + state. Written and read by any thread that
** loads; taking it acquires, giving it releases. */
static _Atomic uint32_t word;

/* How often this thread holds it. */
static CCP_LOCAL unsigned depth;

static void acquire(void) {
  uint32_t epoch = ccp_process_epoch() * STATES, take = HELD;
  uint32_t seen = atomic_load_explicit(&word, memory_order_relaxed);
  if (depth++ > 0)
    return;
  for (;;) {
    if (seen - epoch >= STATES || seen == epoch) {
      if (atomic_compare_exchange_strong_explicit(&word, &seen, epoch + take,
                                                  memory_order_acquire,
                                                  memory_order_relaxed))
        return;
    } else if (seen == epoch + WANTED ||
               atomic_compare_exchange_strong_explicit(
                   &word, &seen, epoch + WANTED, memory_order_relaxed,
                   memory_order_relaxed)) {
      (void)ccp_futex_wait(&word, epoch + WANTED, CCP_NEVER);
      take = WANTED; /* others may still sleep */
      seen = atomic_load_explicit(&word, memory_order_relaxed);
    }
  }
}

static void release(void) {
  uint32_t epoch = ccp_process_epoch() * STATES;
  if (--depth > 0)
    return;
  if (atomic_exchange_explicit(&word, epoch, memory_order_release) ==
      epoch + WANTED)
    ccp_futex_wake(&word, 1);
}

/* Held while a file is opened, by who holds the lock above, while files are
** closed, and around each fork. `opens`: how often this thread does so. */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static CCP_LOCAL unsigned opens;
static CCP_LOCAL int forks; /* this thread has taken it for a fork */

static void begin_opening(void) {
  if (opens++ == 0)
    (void)pthread_mutex_lock(&opening);
}

static void end_opening(void) {
  if (--opens == 0)
    (void)pthread_mutex_unlock(&opening);
}

/* Not for ever: a finalizer that runs while a file is opened may wait for who
** comes here. True: it is held now. */
static int take_patiently(void) {
  struct timespec until;
  (void)clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += PATIENCE_S;
  return opens == 0 && pthread_mutex_timedlock(&opening, &until) == 0;
}

static void before_fork(void) {
  forks = take_patiently();
}

static void after_fork(void) {
  if (forks)
    (void)pthread_mutex_unlock(&opening);
  forks = 0;
}

/* In a child no other thread is there that could hold it. */
static void after_fork_child(void) {
  static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
  if (opens == 0)
    opening = fresh;
  forks = 0;
}

/* Without memory for it forks do not wait. */
static void watch_forks(void) {
  (void)pthread_atfork(before_fork, after_fork, after_fork_child);
}

/* Lua 5.5 closes a state's files with its last strings, when no code can wait
** for forks any more. So there a file stays open: closing it only counts, and
** changes nothing in the loader. Stack: what a searcher gives. */
static void keep_open(lua_State *L) {
#if LUA_VERSION_NUM >= 505
  if (lua_isfunction(L, 1) && lua_type(L, 2) == LUA_TSTRING)
    (void)dlopen(lua_tostring(L, 2), RTLD_NOW | RTLD_NOLOAD);
#else
  (void)L;
#endif
}

/* Calls the first upvalue with what is on the stack; its results remain. */
static void call_in_turn(lua_State *L, int opens_file) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  acquire();
  if (opens_file)
    begin_opening();
  int rc = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  if (opens_file) {
    if (rc == LUA_OK)
      keep_open(L);
    end_opening();
  }
  release();
  if (rc != LUA_OK)
    lua_error(L);
}

static int open_module(lua_State *L) {
  call_in_turn(L, 0);
  return lua_gettop(L);
}

static int search(lua_State *L) {
  call_in_turn(L, 1);
  if (lua_isfunction(L, 1)) {
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, open_module, 1);
    lua_replace(L, 1);
  }
  return lua_gettop(L);
}

/* Stack: the table of files. Upvalue: its own finalizer. */
static int close_files(lua_State *L) {
  int taken = take_patiently();
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  (void)lua_pcall(L, lua_gettop(L) - 1, 0, 0);
  if (taken)
    (void)pthread_mutex_unlock(&opening);
  return 0;
}

/* The table of the files that the state has opened closes them when it is
** finalized. If it is not there, or not so, nothing changes. */
static void watch_files(lua_State *L) {
  int top = lua_gettop(L);
  if (lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE &&
      lua_getmetatable(L, -1) && lua_getfield(L, -1, "__gc") == LUA_TFUNCTION) {
    lua_pushcclosure(L, close_files, 1);
    lua_setfield(L, -2, "__gc");
  }
  lua_settop(L, top);
}

void ccp_load_in_turn(lua_State *L) {
  enum { FIRST = 3, LAST = 4 }; /* C modules, and submodules in their files */
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  int top = lua_gettop(L);
  (void)pthread_once(&once, watch_forks);
  watch_files(L);
  if (lua_getglobal(L, LUA_LOADLIBNAME) == LUA_TTABLE &&
      lua_getfield(L, -1, "searchers") == LUA_TTABLE)
    for (int i = FIRST; i <= LAST; i++) {
      lua_rawgeti(L, -1, i);
      lua_pushcclosure(L, search, 1);
      lua_rawseti(L, -2, i);
    }
  lua_settop(L, top);
}
