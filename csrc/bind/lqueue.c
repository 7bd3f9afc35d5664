/*
** Queue. The thread of the Lua state.
*/
#include <stdlib.h>
#include <string.h>

#include "bind/lerror.h"
#include "bind/lshared.h"
#include "bind/lsync.h"
#include "os/codes.h"
#include "os/process.h"
#include "shared/arena.h"
#include "shared/keeping.h"
#include "shared/queue.h"

static const char QUEUE[] = "ccpool.Queue", PARKED[] = "ccpool.parked";
enum { KEEP_BYTES = 64 << 10 }; /* of a buffer, between messages */

static ccp_queue *check(lua_State *L) {
  return ccp_shared_check(L, 1, QUEUE);
}

/* Queue([maxsize]) */
static int queue_new(lua_State *L) {
  lua_Integer maxsize = luaL_optinteger(L, 1, 0);
  ccp_shared *h = ccp_shared_push(L, QUEUE);
  ccp_shared_set(L, h, ccp_queue_new(maxsize > 0 ? (uint64_t)maxsize : 0));
  return 1;
}

/* ---------------------------------------------------------- putting */

/* A message that waits for room. The state's buffer is free meanwhile: hooks
** and callbacks may put something, too. */
typedef struct parked {
  ccp_buf out;
  ccp_names track;
  uint32_t epoch;
} parked;

static void drop(parked *p) {
  if (p->epoch != ccp_process_epoch())
    (void)ccp_buf_detach(&p->out); /* a copy: the block is an ancestor's */
  ccp_sharing_untrack(&p->track);
  free(p->track.list);
  p->track = (ccp_names){NULL, 0, 0};
  ccp_buf_fini(&p->out);
}

static int parked__gc(lua_State *L) {
  drop(lua_touserdata(L, 1));
  return 0;
}

/* Pushes a place for a message. */
static int new_parked(lua_State *L) {
  parked *p = lua_newuserdatauv(L, sizeof *p, 0);
  memset(p, 0, sizeof *p);
  if (luaL_newmetatable(L, PARKED)) {
    lua_pushcfunction(L, parked__gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return 1;
}

/* Takes the message before anything else: a finalizer may put something while
** its place is made. */
static parked *park(lua_State *L, ccp_sharing *s) {
  parked now = {s->out, s->track, s->epoch}, *p;
  s->track = (ccp_names){NULL, 0, 0};
  ccp_buf_init(&s->out);
  s->out.blocks = now.out.blocks;
  lua_pushcfunction(L, new_parked);
  if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
    drop(&now);
    (void)lua_error(L);
  }
  p = lua_touserdata(L, -1);
  *p = now;
  return p;
}

/* The buffer's message is in the queue: a block is the queue's now. */
static void sent(ccp_buf *out, const ccp_item_out *item) {
  if (item->is_block)
    ccp_hand_drop(ccp_buf_detach(out));
  else if (out->cap > KEEP_BYTES) {
    ccp_buf_reset(out);
    ccp_buf_fini(out);
  }
}

/* Waits until there is room. */
static int put_later(lua_State *L, ccp_queue *q, ccp_item_out *item,
                     ccp_sharing *s, ccp_wait *w) {
  parked *p = park(L, s);
  int rc;
  item->data = p->out.data;
  do
    rc = ccp_queue_put(q, item, ccp_wait_until(L, w));
  while (ccp_wait_again(L, w, rc));
  if (rc == CCP_OK)
    sent(&p->out, item);
  ccp_sharing_untrack(&p->track);
  return rc;
}

static int put_failed(lua_State *L, int rc, const char *full) {
  if (rc == CCP_E_CLOSED)
    return ccp_shared_fail(L, "ClosedError", "the queue is closed");
  if (rc == CCP_E_NOMEM)
    return ccp_error_raise(L, rc, "no room in the arena");
  return ccp_shared_fail(L, full, "the queue is full");
}

static int put(lua_State *L, int64_t deadline_ns, const char *full) {
  ccp_queue *q = check(L);
  ccp_sharing *s = ccp_sharing_get(L);
  ccp_wait w = ccp_wait_begin(deadline_ns);
  ccp_item_out item;
  int rc;
  luaL_argcheck(L, !lua_isnoneornil(L, 2), 2,
                "a value is expected: nil is no item");
  item.names = ccp_sharing_encode(L, s, 2, "item", CCP_ITEM_PREFIX);
  item.data = s->out.data;
  item.len = s->out.len;
  item.is_block = s->out.is_block && item.len > CCP_ITEM_INLINE;
  rc = ccp_queue_put(q, &item, ccp_wait_until(L, &w));
  if (rc != CCP_OK && ccp_wait_again(L, &w, rc))
    rc = put_later(L, q, &item, s, &w);
  else {
    if (rc == CCP_OK)
      sent(&s->out, &item);
    ccp_sharing_untrack(&s->track);
  }
  if (rc != CCP_OK)
    return put_failed(L, rc, full);
  lua_pushboolean(L, 1);
  return 1;
}

/* put(value [, timeout]) -> true; nil, TimeoutError; nil, ClosedError. */
static int queue_put(lua_State *L) {
  return put(L, ccp_wait_check(L, 3), "TimeoutError");
}

/* try_put(value) -> true; nil, QueueFullError; nil, ClosedError. */
static int queue_try_put(lua_State *L) {
  return put(L, 0, "QueueFullError");
}

/* ---------------------------------------------------------- getting */

/* What the message owns is given back whether it can be decoded or not. */
static int push_safely(lua_State *L, ccp_sharing *s, ccp_item_in *item) {
  int status = ccp_sharing_decode_safely(L, s, item->data + CCP_ITEM_PREFIX,
                                         item->len - CCP_ITEM_PREFIX);
  ccp_keeping_release(item->data + item->len, item->names);
  if (item->block) {
    ccp_hand_drop(item->block);
    ccp_arena_free(item->block);
  }
  return status == LUA_OK ? 1 : lua_error(L);
}

static int get(lua_State *L, int64_t deadline_ns) {
  ccp_queue *q = check(L);
  ccp_sharing *s = ccp_sharing_get(L);
  ccp_wait w = ccp_wait_begin(deadline_ns);
  _Alignas(16) unsigned char room[CCP_ITEM_INLINE];
  ccp_item_in item;
  int rc;
  luaL_checkstack(L, 12, NULL);
  do
    rc = ccp_queue_get(q, room, &item, ccp_wait_until(L, &w));
  while (ccp_wait_again(L, &w, rc));
  if (rc == CCP_E_CLOSED)
    return ccp_shared_fail(L, "ClosedError", "the queue is closed and empty");
  if (rc == CCP_E_NOMEM)
    return ccp_error_raise(L, rc, "no room for handles");
  if (rc != CCP_OK)
    return ccp_shared_fail(L, "TimeoutError", "the queue is empty");
  if (item.block || item.names)
    return push_safely(L, s, &item);
  ccp_sharing_decode(L, s, item.data + CCP_ITEM_PREFIX,
                     item.len - CCP_ITEM_PREFIX);
  return 1;
}

/* get([timeout]) -> value; nil, TimeoutError; nil, ClosedError. */
static int queue_get(lua_State *L) {
  return get(L, ccp_wait_check(L, 2));
}

/* try_get() -> the same, at once. */
static int queue_try_get(lua_State *L) {
  return get(L, 0);
}

/* ---------------------------------------------------------- the rest */

static int queue_qsize(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ccp_queue_size(check(L)));
  return 1;
}

static int queue_empty(lua_State *L) {
  lua_pushboolean(L, ccp_queue_size(check(L)) == 0);
  return 1;
}

static int queue_full(lua_State *L) {
  ccp_queue *q = check(L);
  lua_pushboolean(L, q->maxsize > 0 && ccp_queue_size(q) >= q->maxsize);
  return 1;
}

static int queue_close(lua_State *L) {
  ccp_queue_close(check(L));
  return 0;
}

/* A scope that a forked process inherited is its parent's to leave. */
static int queue__close(lua_State *L) {
  const ccp_shared *h = luaL_checkudata(L, 1, QUEUE);
  if (h->object && h->maker == ccp_process_epoch())
    ccp_queue_close(check(L));
  return 0;
}

static int queue_closed(lua_State *L) {
  lua_pushboolean(L, ccp_queue_is_closed(check(L)));
  return 1;
}

static int queue_task_done(lua_State *L) {
  if (ccp_queue_done(check(L)) != CCP_OK)
    return luaL_error(L, "task_done called more often than items were put");
  return 0;
}

/* join([timeout]) -> true: all items are done; false: timed out. */
static int queue_join(lua_State *L) {
  ccp_queue *q = check(L);
  ccp_wait w = ccp_wait_begin(ccp_wait_check(L, 2));
  int rc;
  do
    rc = ccp_queue_join(q, ccp_wait_until(L, &w));
  while (ccp_wait_again(L, &w, rc));
  lua_pushboolean(L, rc == CCP_OK);
  return 1;
}

void ccp_queue_class(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"put", queue_put},         {"get", queue_get},
      {"try_put", queue_try_put}, {"try_get", queue_try_get},
      {"qsize", queue_qsize},     {"empty", queue_empty},
      {"full", queue_full},       {"close", queue_close},
      {"closed", queue_closed},   {"task_done", queue_task_done},
      {"join", queue_join},       {NULL, NULL}};
  ccp_shared_class c = {.tname = QUEUE,
                        .kind = CCP_K_QUEUE,
                        .methods = methods,
                        .make = queue_new,
                        .close = queue__close,
                        .len = queue_qsize};
  ccp_shared_add_class(L, &c);
}
