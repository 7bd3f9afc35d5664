/*
** The iterator that map returns. It packs items into chunks, keeps as many of
** them submitted as it may, and gives the results one by one.
**
**   source --pull--> chunk --submit--> pool --replies--> chunk --step--> caller
**
** The iterator object may be collected while its chunks still run, so what
** they point to is a ccp_map, and they are told when it goes away. Pulling and
** submitting are in lmap_source.c, a reply's way to the caller is in
** lmap_reply.c, the rest is here.
**
** Size: reading and closing keep one list of chunks in order.
*/
#include "bind/lmap_state.h"

#include <string.h>

#include "bind/lerror.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/process.h"

#define MAGIC 0x3a9a3a9au

enum {
  SCAN_MOST = 4096, /* elements looked at for holes before the first */
  PRESIZE_MOST = 1 << 24,
  HOOKS_EVERY = 128 /* items, in collect */
};

static const char class_key = 0; /* its address: in the registry */

static ccp_map *check(lua_State *L, int arg) {
  ccp_map *m = lua_touserdata(L, arg);
  /* a light userdata has no length */
  if (!m || lua_rawlen(L, arg) != sizeof *m || m->magic != MAGIC)
    luaL_typeerror(L, arg, "ccpool map iterator");
  return m;
}

/* ------------------------------------------------------------ chunks */

void ccp_map_append(ccp_map *m, ccp_chunk *c) {
  c->queued = 1;
  c->behind = NULL;
  if (m->last)
    m->last->behind = c;
  else
    m->first = c;
  m->last = c;
}

/* Until its last delivery the pool may still point to it. */
static void drop(ccp_chunk *c) {
  c->queued = 0;
  if (c->task.final)
    ccp_chunk_free(c);
  else
    c->task.owner = NULL; /* ccp_map_deliver frees it */
}

static void make_ready(ccp_map *m, ccp_chunk *c) {
  if (c->news)
    return;
  c->news = 1;
  c->ready = NULL;
  if (m->ready_last)
    m->ready_last->ready = c;
  else
    m->ready_first = c;
  m->ready_last = c;
}

void ccp_map_deliver(ccp_chunk *c) {
  ccp_map *m = c->task.owner;
  if (!m) {
    if (c->task.final)
      ccp_chunk_free(c);
    return;
  }
  if (m->ordered)
    c->news = 1;
  else {
    if (!c->queued)
      ccp_map_append(m, c); /* was split off another */
    make_ready(m, c);
  }
}

void ccp_map_close(ccp_map *m) {
  ccp_chunk *c;
  int ours;
  if (m->closed)
    return;
  m->exhausted = 1;
  if (m->filling) { /* the source did it: ccp_map_fill sees to it */
    m->closing = 1;
    return;
  }
  m->closed = 1;
  /* in a descendant the chunks' blocks are the ancestor's */
  ours = m->epoch == ccp_process_epoch() && (!m->handle || m->handle->pool);
  if (m->handle && ours)
    for (c = m->first; c; c = c->behind)
      ccp_pool_cancel_chunk(m->handle->pool, c);
  while (ours && (c = m->first) != NULL) {
    m->first = c->behind;
    drop(c);
  }
  m->last = m->ready_first = m->ready_last = m->current = NULL;
  if (ours) {
    ccp_buf_fini(&m->fn);
    ccp_buf_fini(&m->body);
  }
  if (m->handle)
    ccp_handle_leave(m->handle);
  m->handle = NULL;
}

/* ------------------------------------------------------------ reading */

/* What runs while this waits, a callback say, may close the map or step it:
** then there is nothing to wait for, or something to be read already. */
static int has_news(lua_State *L, void *ud) {
  const ccp_map *m = ud;
  const ccp_chunk *c = m->first;
  (void)L;
  if (m->closed || m->yielded == m->pulled)
    return 1;
  if (m->ordered)
    return !c || c->news || c->finished || c->at < c->reading.len;
  return m->ready_first || m->current;
}

static void wait_for_news(lua_State *L, ccp_map *m) {
  int rc;
  ccp_client_wants(m->ex->client, NULL, NULL);
  rc = ccp_client_wait(L, m->ex->client, m->handle->pool, m->deadline_ns,
                       has_news, m);
  if (rc == CCP_OK)
    return;
  ccp_map_close(m);
  (void)ccp_error_raise(L, rc,
                        rc == CCP_E_DEADLOCK ? NULL : "map: the time is up");
}

static int all_read(const ccp_chunk *c) {
  return c->finished && c->at == c->reading.len && c->read == c->known;
}

/* The first chunk is read to its end: those split off it come next. */
static void pop_first(ccp_map *m, ccp_chunk *segment) {
  ccp_chunk *c = m->first;
  if (segment && m->ordered) {
    segment->queued = 1;
    segment->behind = c->behind;
    c->behind = segment;
    if (m->last == c)
      m->last = segment;
  }
  m->first = c->behind;
  if (!m->first)
    m->last = NULL;
  drop(c);
}

static ccp_chunk *look(const ccp_map *m, ccp_chunk *c) {
  c->news = 0;
  return m->handle ? ccp_pool_progress(m->handle->pool, c) : c->segment;
}

/* The chunk whose next reply is to be given, or NULL: there is none left. */
static ccp_chunk *next_ordered(lua_State *L, ccp_map *m) {
  ccp_chunk *c, *segment;
  while ((c = m->first) != NULL) {
    if (c->at < c->reading.len)
      return c;
    if (!m->handle) {
      pop_first(m, NULL);
      continue;
    }
    segment = look(m, c);
    if (c->at < c->reading.len)
      return c;
    if (!c->finished)
      wait_for_news(L, m);
    else if (c->read < c->known)
      return c; /* replies for which there was no memory */
    else
      pop_first(m, segment);
  }
  return NULL;
}

static ccp_chunk *next_ready(ccp_map *m) {
  ccp_chunk *c = m->ready_first;
  m->ready_first = c->ready;
  if (!m->ready_first)
    m->ready_last = NULL;
  (void)look(m, c);
  return c;
}

/* Chunks leave the list from its beginning only; one that is read to its end
** behind another stays for a while. */
static ccp_chunk *next_unordered(lua_State *L, ccp_map *m) {
  for (;;) {
    ccp_chunk *c = m->current;
    if (c && (c->at < c->reading.len ||
              (c->finished && c->read < c->known && !c->news)))
      return c;
    m->current = NULL;
    while (m->first && all_read(m->first) && !m->first->news &&
           m->first->task.final)
      pop_first(m, NULL);
    /* items that were split off are owed too */
    if (m->closed || m->yielded == m->pulled)
      return NULL;
    if (m->ready_first)
      m->current = next_ready(m);
    else
      wait_for_news(L, m);
  }
}

/* The chunk whose next reply is to be given; NULL: that was all. Stack index 1:
** the map. */
static ccp_chunk *advance(lua_State *L, ccp_map *m) {
  ccp_chunk *c;
  if (m->closed)
    return NULL;
  if (m->epoch != ccp_process_epoch())
    luaL_error(L, "this iterator belongs to the process that made it");
  if (m->filling)
    luaL_error(L, "a map's source and tasks must not step the map itself");
  do { /* who steps the map meanwhile may read all that was submitted */
    if (!m->exhausted)
      ccp_map_fill(L, m);
    if (m->closed)
      return NULL;
    c = m->ordered || !m->handle ? next_ordered(L, m) : next_unordered(L, m);
  } while (!c && !m->exhausted);
  if (c || m->closed)
    return c;
  if (m->source_failed) {
    m->source_failed = 0;
    lua_getiuservalue(L, 1, CCP_MAP_FAILED);
    (void)lua_error(L);
  }
  ccp_map_close(m);
  return NULL;
}

/* Pushes the next reply, as ccp_map_give does; -1: that was all. *index: which
** item's it is. */
static int step(lua_State *L, ccp_map *m, int with_index, lua_Integer *index) {
  ccp_chunk *c;
  while ((c = advance(L, m)) != NULL) {
    int n;
    *index = (lua_Integer)(c->first + c->read);
    n = ccp_map_give(L, m, c, with_index);
    if (n >= 0)
      return n;
  }
  return -1;
}

static int map_step(lua_State *L) {
  lua_Integer index;
  return step(L, check(L, 1), 1, &index) + 1;
}

enum { LIST = 2, FAILURES };

/* The n values on the top are those of an item. */
static void collect_item(lua_State *L, const ccp_map *m, lua_Integer index,
                         int n) {
  int value = lua_gettop(L) - n + 1, into = LIST;
  if (m->returns_errors) {
    into = lua_toboolean(L, value) ? LIST : FAILURES;
    value++;
  }
  if (n != 1 || value != FAILURES + 1)
    lua_settop(L, value);
  lua_rawseti(L, into, index);
  if (value != FAILURES + 1)
    lua_settop(L, FAILURES);
}

/* collect() -> array of the first result of each item, with n; with on_error =
** "return" also a table of the errors by index. As a loop over the iterator
** would do it, hooks included. */
static int map_collect(lua_State *L) {
  ccp_map *m = check(L, 1);
  lua_Integer items = 0, last = 0; /* last: others may have been given before */
  lua_Integer index;
  int n;
  lua_settop(L, 1);
  lua_createtable(L, m->n > 0 && m->n < PRESIZE_MOST ? (int)m->n : 0, 1);
  if (m->returns_errors)
    lua_newtable(L);
  else
    lua_pushnil(L);
  while ((n = step(L, m, 0, &index)) >= 0) {
    collect_item(L, m, index, n);
    lua_settop(L, FAILURES);
    last = index > last ? index : last;
    if (++items % HOOKS_EVERY == 0)
      ccp_client_run_hooks(L);
  }
  lua_pushinteger(L, last);
  lua_setfield(L, LIST, "n");
  return 2;
}

static int map_close(lua_State *L) {
  ccp_map_close(check(L, 1));
  return 0;
}

static int map__tostring(lua_State *L) {
  const ccp_map *m = check(L, 1);
  lua_pushfstring(L, "ccpool.Map: %p (%s)", lua_topointer(L, 1),
                  m->closed ? "closed" : "open");
  return 1;
}

/* ------------------------------------------------------------ making */

/* Stack: executor object, function, source. */
static ccp_map *push_map(lua_State *L, ccp_executor *ex) {
  ccp_map *m = lua_newuserdatauv(L, sizeof *m, 3);
  memset(m, 0, sizeof *m);
  m->magic = MAGIC;
  m->epoch = ccp_process_epoch();
  m->ex = ex;
  m->n = -1;
  ccp_buf_init(&m->fn);
  ccp_buf_init(&m->body);
  m->body.blocks = &ccp_body_blocks;
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, CCP_MAP_SOURCE);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, CCP_MAP_EXECUTOR);
  m->handle = ex->handle;
  if (m->handle)
    m->handle->objects++;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
  lua_setmetatable(L, -2);
  return m;
}

static void encode_function(lua_State *L, ccp_map *m) {
  const ccp_what what = {"argument", 0, 0};
  int rc = ccp_encode_call(L, 2, 1, what, &m->fn,
                           m->handle ? ccp_pool_funcs(m->handle->pool)
                                     : &ccp_funcs_home);
  if (rc != CCP_OK)
    (void)ccp_error_raise(L, rc, NULL);
}

static void refuse_hole(lua_State *L, const ccp_map *m, lua_Integer i) {
  luaL_where(L, 2); /* the program: this is called by map's Lua part */
  lua_pushfstring(L, "bad argument #2 to '%s' (element %I of the array is nil)",
                  m->star ? "starmap" : "map", (LUAI_UACINT)i);
  lua_concat(L, 2);
  lua_error(L);
}

/* Has the table on the top elements behind its length? A length may end at any
** hole, and Lua 5.5 likes the first. */
static int goes_on(lua_State *L, lua_Integer n) {
  if (n > 0)
    lua_pushinteger(L, n);
  else
    lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pop(L, 1);
    if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > n) {
      lua_pop(L, 1);
      return 1;
    }
  }
  return 0;
}

/* A hole in a long array shows only when it is come to; what was submitted
** until then is cancelled. */
static void check_holes(lua_State *L, const ccp_map *m) {
  lua_getiuservalue(L, 1, CCP_MAP_SOURCE);
  for (lua_Integer i = 1; i <= m->n && m->n <= SCAN_MOST; i++) {
    if (lua_rawgeti(L, -1, i) == LUA_TNIL)
      refuse_hole(L, m, i);
    lua_pop(L, 1);
  }
  if (goes_on(L, m->n))
    refuse_hole(L, m, m->n + 1);
  lua_pop(L, 1);
}

/* map(executor, fn, source, chunksize | 0, buffersize | 0, ordered, timeout,
** returns_errors, star) -> what a generic for wants. */
static int core_map(lua_State *L) {
  ccp_executor *ex = ccp_executor_check(L, 1);
  int64_t deadline = ccp_check_timeout(L, 7);
  ccp_map *m;
  ccp_check_target(L, 2);
  lua_settop(L, 9);
  if (!ex->handle) {
    ccp_executor_check_inline(L, ccp_executor_push(L, 1), 10);
    lua_settop(L, 9);
  } else /* without items, too, nothing is submitted to one that has ended */
    ccp_executor_check_open(L, ex);
  m = push_map(L, ex);
  m->begun_ns = ccp_clock_now_ns();
  m->deadline_ns = deadline;
  m->view = ccp_rules_check(L, 1);
  m->places = UINT64_MAX;
  m->chunksize = luaL_checkinteger(L, 4) < CCP_ITEMS_MOST
                     ? (uint32_t)luaL_checkinteger(L, 4)
                     : CCP_ITEMS_MOST;
  m->buffersize = (uint64_t)luaL_checkinteger(L, 5);
  m->ordered = (uint8_t)lua_toboolean(L, 6);
  m->returns_errors = (uint8_t)lua_toboolean(L, 8);
  m->star = (uint8_t)lua_toboolean(L, 9);
  encode_function(L, m);
  if (lua_istable(L, 3))
    m->n = (lua_Integer)lua_rawlen(L, 3);
  lua_replace(L, 1); /* the ccp_map */
  lua_settop(L, 1);
  if (m->n >= 0) {
    check_holes(L, m);
    ccp_map_fill(L, m);
    if (m->source_failed && m->pulled < (uint64_t)m->n) {
      ccp_map_close(m); /* an element that cannot be sent: nothing is */
      luaL_where(L, 2); /* the program: this is called by map's Lua part */
      lua_getiuservalue(L, 1, CCP_MAP_FAILED);
      if (lua_type(L, -1) == LUA_TSTRING)
        lua_concat(L, 2);
      return lua_error(L);
    }
  }
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, 1);
  return 4;
}

void ccp_map_functions(lua_State *L) {
  static const luaL_Reg meta[] = {{"__call", map_step},
                                  {"__close", map_close},
                                  {"__gc", map_close},
                                  {"__tostring", map__tostring},
                                  {NULL, NULL}};
  lua_pushcfunction(L, core_map);
  lua_setfield(L, -2, "map");
  luaL_newlib(L, meta);
  lua_pushliteral(L, "ccpool.Map");
  lua_setfield(L, -2, "__name");
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, map_close);
  lua_setfield(L, -2, "close");
  lua_pushcfunction(L, map_collect);
  lua_setfield(L, -2, "collect");
  lua_setfield(L, -2, "__index");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
}
