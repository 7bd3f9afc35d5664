/*
** Clients: making, delivering, ending. Runs in the thread of the Lua state, but
** for at_exit, which runs in the thread that called exit. Waiting in the middle
** of a program is in lclient_wait.c.
**
** Size: a client's beginning and its end, which undoes it, stand side by side.
*/
#include "bind/lclient.h"

#include <stdlib.h>

#include "bind/lhand.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/fd.h"
#include "os/futex.h"
#include "os/lock.h"
#include "os/process.h"
#include "shared/arena.h"
#include "worker/vm.h"

static const char client_key = 0, flight_key = 0; /* addresses: registry keys */

/* Clients of the program's own states, for at_exit. */
static ccp_lock list_lock = CCP_LOCK_INIT(CCP_RANK_CLIENTS);
static ccp_client *clients;

/* ------------------------------------------------------------ at the end */

static void shutdown_all(ccp_client *c) {
  for (ccp_handle *h = c->handles; h; h = h->next)
    if (!h->party)
      ccp_pool_shutdown(h->pool, 0);
}

static int all_closed(const ccp_client *c) {
  for (const ccp_handle *h = c->handles; h; h = h->next)
    if (!h->party && ccp_pool_life_now(h->pool) != CCP_P_CLOSED)
      return 0;
  return 1;
}

int ccp_client_stirs(const ccp_client *c) {
  for (const ccp_handle *h = c->handles; h; h = h->next)
    if (ccp_pool_stirs(h->pool, h->party))
      return 1;
  return 0;
}

static int is_over(const ccp_client *c) {
  return all_closed(c) && !ccp_hands_open(c);
}

/* No Lua here: futures are not delivered any more. */
static void take_outcomes(ccp_client *c) {
  ccp_task *next;
  for (ccp_handle *h = c->handles; h; h = h->next) {
    if (h->party)
      continue; /* its tasks end with its party */
    ccp_pool_drain(h->pool);
    for (ccp_task *t = ccp_pool_take(h->pool, NULL); t; t = next) {
      next = t->taken;
      if (t->is_chunk)
        ccp_map_deliver(ccp_chunk_of(t));
      else
        ccp_future_missed(c, t);
    }
  }
}

/* A pool is closed after its last outcome has come in: what is there then was
** all. */
static void wait_closed(ccp_client *c) {
  shutdown_all(c);
  while (!is_over(c)) {
    uint32_t word = atomic_load(&c->bell->word);
    take_outcomes(c);
    atomic_store_explicit(&c->bell->state, CCP_ASLEEP, memory_order_seq_cst);
    if (!is_over(c) && !ccp_client_stirs(c))
      (void)ccp_futex_wait(&c->bell->word, word,
                           ccp_clock_now_ns() + CCP_CLIENT_SLICE_NS);
    atomic_store_explicit(&c->bell->state, CCP_AWAY, memory_order_seq_cst);
  }
  take_outcomes(c);
  ccp_hands_end(c); /* the daemons */
}

/* A child, whoever forked it, forgets the lists of its ancestors before it uses
** them: what they name is not there, and a thread that is not there may hold
** their locks. It has one thread until it has made a client. */
static void see_epoch(void) {
  static _Atomic uint32_t lists_epoch;
  uint32_t now = ccp_process_epoch();
  if (atomic_exchange_explicit(&lists_epoch, now, memory_order_relaxed) == now)
    return;
  ccp_lock_init(&list_lock, CCP_RANK_CLIENTS);
  clients = NULL;
  ccp_pools_forked();
}

/* os.exit leaves states open. Pools of worker states end with those; a child
** that some other code forked owns no pool. The list is walked without its
** lock, which must not be held while waiting; the program makes no more states
** when it exits. */
static void at_exit(void) {
  if (ccp_self_get())
    return;
  for (ccp_client *c = clients; c; c = c->next)
    if (c->epoch == ccp_process_epoch())
      wait_closed(c);
}

static void enlist(ccp_client *c) {
  static int armed;
  if (ccp_self_get())
    return;
  ccp_lock_acquire(&list_lock);
  if (!armed)
    armed = atexit(at_exit) == 0;
  c->next = clients;
  clients = c;
  c->listed = 1;
  ccp_lock_release(&list_lock);
}

static void delist(ccp_client *c) {
  if (!c->listed)
    return;
  ccp_lock_acquire(&list_lock);
  for (ccp_client **at = &clients; *at; at = &(*at)->next)
    if (*at == c) {
      *at = c->next;
      break;
    }
  ccp_lock_release(&list_lock);
  c->listed = 0;
}

/* Objects that are finalized after their client find that the pool is gone. */
static void leave_pool(ccp_client *c, ccp_handle *h) {
  ccp_pool_part(h->pool, h->party);
  ccp_pool_unref(h->pool);
  h->party = NULL;
  h->pool = NULL;
  c->guests--;
}

static void free_handle(ccp_client *c, ccp_handle *h) {
  if (h->party) {
    leave_pool(c, h);
    if (h->objects == 0)
      free(h);
    return;
  }
  c->leaked = c->leaked || ccp_pool_leaked(h->pool);
  ccp_pool_free(h->pool);
  h->pool = NULL;
  if (h->objects == 0)
    free(h);
}

void ccp_handle_leave(ccp_handle *h) {
  if (--h->objects == 0 && !h->pool)
    free(h);
}

static void free_handles(ccp_client *c) {
  while (c->handles) {
    ccp_handle *h = c->handles;
    c->handles = h->next;
    free_handle(c, h);
  }
}

/* In a descendant the client's copy is an ancestor's: bell and pools are left
** alone. A worker lives by the plan in one of those pools. */
static int client__gc(lua_State *L) {
  ccp_client *c = lua_touserdata(L, 1);
  int ours = c->epoch == ccp_process_epoch();
  if (ours && c->bell)
    wait_closed(c);
  ccp_future_report_unheard(L, c);
  see_epoch();
  delist(c);
  ccp_hands_leave(c);
  if (ours) { /* a worker lives by copies of its ancestor's */
    free_handles(c);
    if (c->bell) {
      ccp_fd_close(c->bell->loop_fd);
      c->bell->loop_fd = -1;
    }
  }
  if (ours && !c->leaked)
    ccp_arena_free(c->bell);
  c->bell = NULL;
  if (ours) { /* there may be blocks among these */
    ccp_store_fini(&c->store);
    for (int i = 0; i < CCP_DRAFTS; i++)
      ccp_buf_fini(&c->out[i]);
  }
  return 0;
}

void ccp_client_finish(lua_State *L) {
  ccp_client *c = ccp_client_peek(L);
  if (c)
    wait_closed(c);
}

/* ------------------------------------------------------------ making it */

void ccp_client_open(lua_State *L) {
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &flight_key);
}

static int new_table_ref(lua_State *L) {
  lua_newtable(L);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void *take_block(void *ud, size_t len, size_t *room) {
  (void)ud;
  return ccp_arena_alloc(len, room);
}

static void give_block(void *ud, void *block) {
  (void)ud;
  ccp_arena_free(block);
}

const ccp_buf_blocks ccp_body_blocks = {CCP_ANNEX_BYTES, NULL, take_block,
                                        give_block};

int ccp_body_from(ccp_bytes *body, ccp_buf *out) {
  size_t len = out->len;
  void *block;
  if (len <= CCP_ANNEX_BYTES)
    return ccp_bytes_set(body, out->data, len);
  block = ccp_buf_detach(out);
  if (!block)
    return CCP_E_NOMEM;
  ccp_bytes_adopt(body, block, len);
  return CCP_OK;
}

static ccp_client *make(lua_State *L) {
  ccp_client *c = lua_newuserdatauv(L, sizeof *c, 0);
  see_epoch();
  *c = (ccp_client){.epoch = ccp_process_epoch(), .callback_first = 1};
  ccp_store_init(&c->store);
  for (int i = 0; i < CCP_DRAFTS; i++) {
    ccp_buf_init(&c->out[i]);
    c->out[i].blocks = &ccp_body_blocks;
  }
  c->in_flight = c->callbacks = c->quiet_ref = LUA_NOREF;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, client__gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &flight_key);
  c->in_flight = luaL_ref(L, LUA_REGISTRYINDEX);
  c->callbacks = new_table_ref(L);
  c->quiet = lua_newthread(L);
  lua_sethook(c->quiet, NULL, 0, 0); /* it got those of L */
  c->quiet_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  if (ccp_process_watch_forks() != CCP_OK || ccp_arena_open() != CCP_OK ||
      (c->bell = ccp_arena_alloc(sizeof *c->bell, NULL)) == NULL)
    luaL_error(L, "not enough memory");
  c->codec = ccp_codec_of(L);
  atomic_init(&c->bell->word, 0);
  atomic_init(&c->bell->state, CCP_AWAY);
  c->bell->loop_fd = -1;
  enlist(c);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &client_key);
  return c;
}

ccp_client *ccp_client_peek(lua_State *L) {
  ccp_client *c;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &client_key);
  c = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return c && c->bell && c->epoch == ccp_process_epoch() ? c : NULL;
}

ccp_client *ccp_client_get(lua_State *L) {
  ccp_client *c = ccp_client_peek(L);
  return c ? c : make(L);
}

ccp_handle *ccp_client_add(ccp_client *c, ccp_pool *pool) {
  ccp_handle *h = calloc(1, sizeof *h);
  if (!h)
    return NULL;
  h->pool = pool;
  h->next = c->handles;
  c->handles = h;
  return h;
}

ccp_handle *ccp_client_join(ccp_client *c, ccp_pool *pool) {
  for (ccp_handle *h = c->handles; h; h = h->next)
    if (h->pool == pool && !h->party) {
      ccp_pool_unref(pool);
      return h;
    }
  return ccp_client_join_as_guest(c, pool);
}

ccp_handle *ccp_client_join_as_guest(ccp_client *c, ccp_pool *pool) {
  ccp_handle *h;
  for (h = c->handles; h; h = h->next)
    if (h->pool == pool && h->party) {
      ccp_pool_unref(pool);
      return h;
    }
  h = ccp_client_add(c, pool);
  if (!h)
    return NULL;
  h->party = ccp_pool_join(pool, c->bell);
  if (h->party) {
    c->guests++;
    return h;
  }
  c->handles = h->next;
  free(h);
  return NULL;
}

/* ------------------------------------------------------------ delivering */

void ccp_client_give(ccp_client *c, ccp_task *t) {
  if (t->id)
    ccp_store_give(&c->store, t);
  else
    ccp_guest_free(t);
}

/* Hooks belong to a coroutine, and a signal handler sets its own on one that
** the program runs. To put the hooks of L aside and back instead would lose the
** one that a handler sets in between. */
int ccp_client_quietly(lua_State *L, ccp_client *c, lua_CFunction f, int n) {
  int status = LUA_ERRMEM;
  if (lua_checkstack(c->quiet, n + 1)) {
    lua_pushcfunction(c->quiet, f);
    lua_xmove(L, c->quiet, n);
    status = lua_pcall(c->quiet, n, 0, 0);
    if (status != LUA_OK)
      lua_pop(c->quiet, 1);
  } else
    lua_pop(L, n);
  return status;
}

/* Delivering may collect garbage, and a finalizer may come here again: a task
** leaves the list before it is delivered. */
static void deliver(lua_State *L, ccp_client *c) {
  int in_flight;
  if (!c->arrived)
    return;
  luaL_checkstack(L, 8, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->in_flight);
  in_flight = lua_gettop(L);
  while (c->arrived) {
    ccp_task *t = c->arrived;
    c->arrived = t->taken;
    c->delivered++;
    if (t->is_chunk)
      ccp_map_deliver(ccp_chunk_of(t));
    else {
      ccp_future_deliver(L, c, t, in_flight);
      ccp_client_give(c, t);
    }
  }
  lua_settop(L, in_flight - 1);
}

void ccp_client_take(lua_State *L, ccp_client *c, ccp_handle *h) {
  deliver(L, c);
  c->arrived = ccp_pool_take(h->pool, h->party);
  deliver(L, c);
}

void ccp_client_collect(lua_State *L, ccp_client *c) {
  for (ccp_handle *h = c->handles; h; h = h->next) {
    if (!ccp_pool_stirs(h->pool, h->party))
      continue;
    ccp_pool_drain(h->pool);
    ccp_client_take(L, c, h);
  }
  deliver(L, c);
}

/* A closed pool has no unfinished task: once all are delivered, nothing points
** to it any more. */
void ccp_client_sweep(lua_State *L, ccp_client *c) {
  ccp_client_collect(L, c);
  for (ccp_handle **at = &c->handles; *at;) {
    ccp_handle *h = *at;
    if (h->objects == 0 && !ccp_pool_stirs(h->pool, h->party) &&
        (h->party ? !ccp_party_busy(h->pool, h->party)
                  : ccp_pool_life_now(h->pool) == CCP_P_CLOSED)) {
      *at = h->next;
      free_handle(c, h);
    } else
      at = &h->next;
  }
}
