/*
** Waiting for what a client's pools, threads and processes bring, as Lua
** functions do: callbacks, hooks and other tasks run meanwhile. In the thread
** of the Lua state. The wait at the program's end is in lclient.c.
*/
#include "bind/lclient.h"

#include "os/clock.h"
#include "os/codes.h"
#include "os/futex.h"
#include "worker/vm.h"

enum {
  SEARCH_NS = 12000, /* as long as a wake-up costs */
  HOPE_NS = 2000     /* while a worker searches: it will take the call */
};

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/* Calling any function lets a hook run that a signal handler has set. */
void ccp_client_run_hooks(lua_State *L) {
  lua_pushcfunction(L, nothing);
  lua_call(L, 0, 0);
}

static void set_bell(ccp_client *c, uint32_t state) {
  atomic_exchange_explicit(&c->bell->state, state, memory_order_seq_cst);
}

/* Looks for replies about as long as a wake-up would take. The caller is one
** of the searchers, of whom there are fewer than cores; while a worker
** searches, its place will be free in a moment. */
static int search(ccp_client *c, ccp_pool *focus) {
  int64_t begun = ccp_clock_now_ns(), now = begun;
  int entered = ccp_pool_spin_enter(focus), found = 0;
  while (!found && now - begun < (entered ? SEARCH_NS : HOPE_NS)) {
    for (int i = 0; i < 16 && !found; i++) {
      ccp_clock_pause();
      found = ccp_client_stirs(c);
    }
    if (!entered)
      entered = ccp_pool_spin_enter(focus);
    now = ccp_clock_now_ns();
  }
  if (entered)
    ccp_pool_spin_leave(focus);
  return found;
}

/* Either the worker that publishes sees the state ASLEEP, or its reply is seen
** here after the state was set (both seq_cst). 'word' was read before the
** condition was looked at: who makes it true and then changes the word, as
** threads and processes by hand do, is not missed. */
static int sleep_here(ccp_client *c, uint32_t word, int64_t deadline_ns) {
  int64_t slice = ccp_clock_now_ns() + CCP_CLIENT_SLICE_NS;
  int rc = CCP_OK;
  set_bell(c, CCP_ASLEEP);
  if (!ccp_client_stirs(c))
    rc = ccp_futex_wait(&c->bell->word, word,
                        deadline_ns < slice ? deadline_ns : slice);
  return rc;
}

/* The pool whose worker this thread is, if the worker waits for tasks of a pool
** that is not its own: it may be the only one who could run them. */
static ccp_pool *pool_left_alone(const ccp_client *c) {
  return c->guests > 0 ? ccp_self_pool() : NULL;
}

enum { STAKES_MOST = 16 }; /* with more pools no deadlock is looked for */

/* The parties of the state; 0 if it has pools of its own, too, whose tasks are
** not looked at. */
static uint32_t take_stakes(const ccp_client *c, ccp_stake *stakes) {
  uint32_t n = 0;
  for (const ccp_handle *h = c->handles; h; h = h->next) {
    if (n == STAKES_MOST ||
        (!h->party && ccp_pool_life_now(h->pool) != CCP_P_CLOSED))
      return 0;
    if (h->party)
      stakes[n++] = (ccp_stake){h->pool, h->party};
  }
  return n;
}

static int sleep_seen(ccp_client *c, uint32_t word, const ccp_want *want) {
  ccp_stake stakes[STAKES_MOST];
  ccp_stall me = {0};
  int rc;
  me.self = ccp_self_get();
  me.pool = ccp_self_pool();
  me.index = ccp_self_get()->index;
  me.of = want->pool;
  me.task = want->task;
  me.stakes = stakes;
  me.stake_n = want->task ? 0 : take_stakes(c, stakes);
  if (!me.task && me.stake_n == 0)
    return sleep_here(c, word, CCP_NEVER);
  rc = ccp_stall_begin(&me);
  if (rc != CCP_OK)
    return rc;
  rc = sleep_here(c, word, CCP_NEVER);
  ccp_stall_end(&me);
  return rc;
}

/* While it sleeps, another worker may stand in for this one. */
static int sleep_on_bell(ccp_client *c, uint32_t word, int64_t deadline_ns,
                         const ccp_want *want) {
  ccp_pool *alone = pool_left_alone(c);
  int rc;
  if (alone)
    ccp_pool_blocked(alone, 1);
  rc = want->is_known && deadline_ns == CCP_NEVER && ccp_self_pool()
           ? sleep_seen(c, word, want)
           : sleep_here(c, word, deadline_ns);
  if (alone)
    ccp_pool_blocked(alone, -1);
  return rc;
}

/* What only LOOKING would have seen to is seen to before leaving. */
static void leave(lua_State *L, ccp_client *c) {
  set_bell(c, CCP_AWAY);
  if (ccp_client_stirs(c))
    ccp_client_collect(L, c);
}

void ccp_client_wants(ccp_client *c, ccp_pool *pool, ccp_task *t) {
  c->wants = (ccp_want){1, pool, t};
}

int ccp_client_wait(lua_State *L, ccp_client *c, ccp_pool *focus,
                    int64_t deadline_ns, ccp_condition done, void *ud) {
  const ccp_want want = c->wants; /* what runs meanwhile has its own */
  int searched = 0, helped, rc;
  c->wants.is_known = 0;
  for (;;) {
    uint32_t word = atomic_load_explicit(&c->bell->word, memory_order_seq_cst);
    ccp_pool *near = focus;
    if (!near && c->handles) /* what runs meanwhile may sweep the others */
      near = c->handles->pool;
    set_bell(c, CCP_LOOKING);
    ccp_client_collect(L, c);
    if (c->callback_n > 0 || c->unheard) {
      leave(L, c); /* a callback may take its time */
      (void)ccp_future_run_callbacks(L, c);
      continue;
    }
    if (done(L, ud)) {
      leave(L, c);
      return CCP_OK;
    }
    if (deadline_ns != CCP_NEVER && ccp_clock_now_ns() >= deadline_ns) {
      leave(L, c);
      return done(L, ud) ? CCP_OK : CCP_E_TIMEOUT;
    }
    if (ccp_codec_owes(c->codec)) {
      leave(L, c);
      ccp_codec_settle(L, c->codec);
      continue;
    }
    if (!searched && near) {
      searched = !search(c, near);
      continue;
    }
    searched = 0;
    if (c->guests > 0 && (helped = ccp_client_help(L, c, NULL, NULL)) != 0) {
      if (helped < 0) {
        leave(L, c);
        (void)lua_error(L);
      }
      continue;
    }
    rc = sleep_on_bell(c, word, deadline_ns, &want);
    if (rc == CCP_E_DEADLOCK) {
      leave(L, c);
      return done(L, ud) ? CCP_OK : rc;
    }
    if (rc != CCP_OK) {
      leave(L, c); /* the hook may raise */
      ccp_client_run_hooks(L);
    }
  }
}

int64_t ccp_check_timeout(lua_State *L, int arg) {
  lua_Number s;
  if (lua_isnoneornil(L, arg))
    return CCP_NEVER;
  luaL_argexpected(L, lua_type(L, arg) == LUA_TNUMBER, arg,
                   "timeout in seconds");
  s = lua_tonumber(L, arg);
  luaL_argcheck(L, s == s, arg, "timeout is not a number (NaN)");
  return ccp_clock_deadline_ns((double)s);
}
