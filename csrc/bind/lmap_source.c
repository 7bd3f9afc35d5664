/*
** Maps: from the source to the pool. In the thread of the Lua state.
*/
#include "bind/lmap_state.h"

#include <stdio.h>
#include <string.h>

#include "bind/lerror.h"
#include "bind/lserial.h"
#include "codec/quick.h"
#include "codec/raw.h"
#include "os/clock.h"
#include "os/codes.h"

enum {
  AUTO_MOST = 512,       /* items of a chunk whose size is ours to choose */
  AUTO_PER_WORKER = 8,   /* chunks that each worker gets of an array */
  AUTO_NS = 1000000,     /* work of a chunk, about */
  BODY_BYTES = 32 << 10, /* a chunk is full */
  CHUNKS_PER_WORKER = 4, /* submitted ahead of an iterator source */
};

/* ------------------------------------------------------------ pulling */

/* Pushes the arguments of the next call; -1: the source has ended. */
static int pull_array(lua_State *L, ccp_map *m) {
  lua_Integer i = (lua_Integer)m->pulled + 1;
  if (i > m->n)
    return -1;
  lua_getiuservalue(L, 1, CCP_MAP_SOURCE);
  lua_rawgeti(L, -1, i);
  lua_remove(L, -2);
  if (lua_isnil(L, -1))
    return luaL_error(L,
                      "bad argument #2 to '%s' (element %I of the array is "
                      "nil)",
                      m->star ? "starmap" : "map", (LUAI_UACINT)i);
  return 1;
}

static int pull_iterator(lua_State *L, ccp_map *m) {
  int base = lua_gettop(L);
  (void)m;
  lua_getiuservalue(L, 1, CCP_MAP_SOURCE);
  lua_call(L, 0, LUA_MULTRET);
  if (lua_gettop(L) == base || lua_isnil(L, base + 1)) {
    lua_settop(L, base);
    return -1;
  }
  return lua_gettop(L) - base;
}

/* Replaces the table on top by its elements. */
static int unpack_star(lua_State *L, const ccp_map *m) {
  int t = lua_gettop(L);
  lua_Integer n;
  if (!lua_istable(L, t))
    return luaL_error(L, "starmap: item %I is no array of arguments",
                      (LUAI_UACINT)m->pulled + 1);
  n = lua_getfield(L, t, "n") == LUA_TNUMBER ? lua_tointeger(L, -1)
                                             : (lua_Integer)lua_rawlen(L, t);
  lua_pop(L, 1);
  if (n < 0 || n >= 1000000)
    return luaL_error(L, "starmap: item %I says that it has %I arguments",
                      (LUAI_UACINT)m->pulled + 1, (LUAI_UACINT)n);
  luaL_checkstack(L, (int)n + 4, "too many arguments");
  for (lua_Integer i = 1; i <= n; i++)
    lua_rawgeti(L, t, i);
  lua_remove(L, t);
  return (int)n;
}

static int pull(lua_State *L, ccp_map *m) {
  int base = lua_gettop(L);
  int n = m->n >= 0 ? pull_array(L, m) : pull_iterator(L, m);
  if (n <= 0 || !m->star)
    return n;
  lua_settop(L, base + 1);
  return unpack_star(L, m);
}

static const ccp_funcs *funcs_of(const ccp_map *m) {
  return m->handle ? ccp_pool_funcs(m->handle->pool) : &ccp_funcs_home;
}

/* The path of what cannot travel is only worked out when it is needed. */
static int raise_item(lua_State *L, ccp_map *m, int first, int n, int rc) {
  char noun[64];
  ccp_what what = {noun, 1, 0};
  ccp_buf scratch;
  if (rc == CCP_E_NOTSENDABLE && n > 1) {
    lua_pop(L, 1);
    (void)snprintf(noun, sizeof noun, "item %llu argument",
                   (unsigned long long)m->pulled + 1);
    ccp_buf_init(&scratch);
    rc = ccp_encode(L, first, n, what, &scratch, funcs_of(m));
    ccp_buf_fini(&scratch);
  }
  return ccp_error_raise(L, rc, NULL);
}

/* Adds one item to the body. 0: the source has ended. */
static int add_item(lua_State *L, ccp_map *m) {
  int base = lua_gettop(L), n = pull(L, m), rc;
  const ccp_what what = {"item", (int)m->pulled + 1, 0};
  size_t at = m->body.len;
  uint32_t len = 0;
  if (n < 0)
    return 0;
  luaL_checkstack(L, 6, NULL);
  rc = ccp_buf_put(&m->body, &len, sizeof len);
  if (rc == CCP_OK)
    rc = ccp_encode_in(L, m->ex->client->codec, base + 1, n, what, &m->body,
                       funcs_of(m));
  if (rc != CCP_OK)
    return raise_item(L, m, base + 1, n, rc);
  len = (uint32_t)(m->body.len - at - sizeof len);
  memcpy(m->body.data + at, &len, sizeof len);
  lua_settop(L, base);
  m->pulled++;
  m->body_items++;
  m->body_good = m->body.len;
  return 1;
}

/* ------------------------------------------------------------ submitting */

/* About a millisecond of work, by the pace so far; of an array, whose items
** are all submitted before the first result, a share for every worker. */
static uint32_t auto_size(const ccp_map *m) {
  double k;
  if (m->n >= 0)
    k = (double)m->n / (double)(m->ex->max_workers * AUTO_PER_WORKER);
  else
    k = (double)m->yielded * AUTO_NS /
        (double)(ccp_clock_now_ns() - m->begun_ns + 1);
  return k < 1 ? 1 : k > AUTO_MOST ? AUTO_MOST : (uint32_t)k;
}

static uint64_t room(const ccp_map *m, uint32_t size) {
  uint64_t most = m->buffersize, ahead = m->pulled - m->yielded;
  size = size < m->places ? size : (uint32_t)m->places;
  if (!most && m->n < 0)
    most = (uint64_t)size * m->ex->max_workers * CHUNKS_PER_WORKER;
  if (!most)
    return size;
  if (ahead >= most)
    return 0;
  return most - ahead < size ? most - ahead : size;
}

/* Its tasks are to the map what the source is: it is not stepped by them, and
** closed only after them. */
static void run_inline(lua_State *L, ccp_map *m, ccp_chunk *c) {
  int raised;
  m->filling = CCP_MAP_CALLED;
  raised = ccp_serial_chunk(L, c, m->view, &m->ex->by_caller);
  m->filling = 0;
  if (m->closing)
    ccp_map_close(m);
  if (raised)
    (void)lua_error(L);
}

static void submit(lua_State *L, ccp_map *m) {
  uint64_t first = m->pulled - m->body_items + 1;
  ccp_chunk *c = ccp_chunk_new(m, first, m->body_items);
  int rc;
  m->body.len = m->body_good; /* without an item that failed */
  rc = c ? ccp_body_from(&c->task.body, &m->body) : CCP_E_NOMEM;
  if (rc == CCP_OK && m->handle && m->handle->party)
    rc = ccp_guest_mark(&c->task, m->handle->party);
  if (rc == CCP_OK && m->handle && m->view)
    rc = ccp_rules_apply(&c->task, m->view);
  if (rc == CCP_OK && m->handle)
    rc = ccp_pool_submit(m->handle->pool, &c->task);
  if (rc != CCP_OK) {
    if (c)
      ccp_chunk_free(c);
    m->pulled -= m->body_items;
    (void)ccp_executor_raise(L, m->ex, rc);
    return;
  }
  ccp_map_append(m, c);
  if (!m->handle)
    run_inline(L, m, c);
  else
    ccp_client_take(L, m->ex->client, m->handle);
}

/* Adds an integer without asking the codec; 0: no memory. */
static inline int add_integer(ccp_map *m, lua_Integer v) {
  unsigned char *to = ccp_buf_room(&m->body, 4 + CCP_QUICK_ROOM);
  uint32_t len;
  if (!to)
    return 0;
  len = (uint32_t)ccp_quick_write(to + 4, v);
  memcpy(to, &len, sizeof len);
  m->body.len += sizeof len + len;
  m->body_items++;
  m->pulled++;
  return 1;
}

/* Or are there no more? The array may have grown since the map was made. */
static int is_full(const ccp_map *m, uint64_t most) {
  return m->body_items >= most || m->body.len >= BODY_BYTES ||
         m->pulled >= (uint64_t)m->n;
}

/* The integers that come next in the array at 2, as it lies in memory. */
static void add_raw_integers(lua_State *L, ccp_map *m, uint64_t most) {
  const ccp_raw_table *t = lua_topointer(L, 2);
  size_t places = ccp_raw_places(t);
  while (!is_full(m, most) && m->pulled < places) {
    const ccp_raw_value *v = &t->items[m->pulled];
    if (v->tag != CCP_RAW_INT || !add_integer(m, v->as.i))
      break;
  }
}

static void add_passed_integers(lua_State *L, ccp_map *m, uint64_t most) {
  int added = 1;
  while (added && !is_full(m, most)) {
    lua_rawgeti(L, 2, (lua_Integer)m->pulled + 1);
    added = lua_isinteger(L, -1) && add_integer(m, lua_tointegerx(L, -1, NULL));
    lua_pop(L, 1);
  }
}

/* The integers that come next in the array at 2; 0: none. */
static int add_integers(lua_State *L, ccp_map *m, uint64_t most) {
  uint32_t before = m->body_items;
  if (ccp_raw_known())
    add_raw_integers(L, m, most);
  else
    add_passed_integers(L, m, most);
  m->body_good = m->body.len;
  return m->body_items > before;
}

/* Stack: map. Fills the body with the items of one chunk. */
static int fill_chunk(lua_State *L) {
  ccp_map *m = lua_touserdata(L, 1);
  const unsigned char kind = CCP_BODY_CHUNK;
  uint32_t size = m->chunksize ? m->chunksize : auto_size(m);
  uint64_t most = room(m, size);
  uint32_t fn_len = (uint32_t)m->fn.len;
  m->filling = CCP_MAP_BUSY;
  ccp_buf_reset(&m->body);
  if (ccp_buf_put(&m->body, &kind, 1) != CCP_OK ||
      ccp_buf_put(&m->body, &fn_len, sizeof fn_len) != CCP_OK ||
      ccp_buf_put(&m->body, m->fn.data, m->fn.len) != CCP_OK)
    return ccp_error_raise(L, CCP_E_NOMEM, NULL);
  if (most > CCP_ITEMS_MOST)
    most = CCP_ITEMS_MOST;
  if (m->n >= 0 && !m->star)
    lua_getiuservalue(L, 1, CCP_MAP_SOURCE); /* at 2, for add_integers */
  while (m->body_items < most &&
         (m->body_items == 0 || m->chunksize || m->body.len < BODY_BYTES)) {
    if (m->n >= 0 && !m->star && add_integers(L, m, most))
      continue;
    if (!add_item(L, m)) {
      m->exhausted = 1;
      break;
    }
  }
  m->filling = CCP_MAP_FILLED;
  return 0;
}

/* An executor with a bounded queue: how many items it takes now. Only a map
** that waits for nothing else waits for room. */
static void take_places(lua_State *L, ccp_map *m) {
  if (!m->handle || !m->ex->queue_limited)
    return;
  ccp_client_collect(L, m->ex->client);
  m->places = ccp_pool_places(m->handle->pool);
  if (m->places > 0 || m->pulled > m->yielded)
    return;
  ccp_executor_wait_for_room(L, m->ex);
  if (m->closed) /* meanwhile, by a callback say */
    return;
  m->places = ccp_pool_places(m->handle->pool);
}

/* Keeps the pool supplied. An error of the source or of an item ends the
** sequence there; it surfaces at the step that would have needed that item,
** and the items before it are submitted. */
void ccp_map_fill(lua_State *L, ccp_map *m) {
  while (!m->exhausted) {
    int status, filling;
    take_places(L, m);
    if (m->closed || room(m, 1) == 0)
      return;
    lua_pushcfunction(L, fill_chunk);
    lua_pushvalue(L, 1);
    m->body_items = 0;
    m->filling = CCP_MAP_CALLED;
    status = lua_pcall(L, 1, 0, 0);
    filling = m->filling;
    m->filling = 0;
    if (m->closing) {
      ccp_map_close(m);
      return; /* an error of the source goes with it */
    }
    if (status == LUA_ERRRUN && filling != CCP_MAP_BUSY) {
      if (m->body_items)
        submit(L, m);
      (void)lua_error(L); /* a hook's: the map can go on */
    }
    if (status != LUA_OK) {
      m->exhausted = m->source_failed = 1;
      lua_setiuservalue(L, 1, CCP_MAP_FAILED);
    }
    if (status != LUA_OK && m->n >= 0) { /* of an array, nothing is sent */
      m->pulled -= m->body_items;
      return;
    }
    if (m->body_items)
      submit(L, m);
  }
}
