/*
** The iterator that map returns. It packs items into chunks, keeps as many of
** them submitted as it may, and gives the results one by one.
**
**   source --pull--> chunk --submit--> pool --replies--> chunk --step--> caller
**
** The iterator object may be collected while its chunks still run, so what
** they point to is the 'map' below, and it is told when it is orphaned.
*/
#include "bind/lexecutor.h"

#include <stdio.h>
#include <string.h>

#include "bind/lerror.h"
#include "bind/lserial.h"
#include "codec/quick.h"
#include "os/clock.h"
#include "os/codes.h"
#include "shared/arena.h"

#define MAGIC 0x3a9a3a9au

enum {
  AUTO_MOST = 512,          /* items of a chunk whose size is ours to choose */
  AUTO_PER_WORKER = 8,      /* chunks that each worker gets of an array */
  AUTO_NS = 1000000,        /* work of a chunk, about */
  BODY_BYTES = 32 << 10,    /* a chunk is full */
  CHUNKS_PER_WORKER = 4,    /* submitted ahead of an iterator source */
  SOURCE = 1,               /* user values */
  FAILED = 2,
  EXECUTOR = 3
};

typedef struct map {
  uint32_t magic;
  ccp_executor *ex;   /* borrowed: user value EXECUTOR anchors it */
  ccp_handle *handle; /* borrowed and counted; NULL: runs inline */
  ccp_buf fn;         /* message of the function */
  ccp_buf body;       /* the chunk in the making */
  size_t body_good;   /* of it, the bytes of whole items */
  uint32_t body_items;
  ccp_chunk *first, *last;             /* by 'behind': to be read, or unread */
  ccp_chunk *ready_first, *ready_last; /* unordered: by 'ready', with news */
  ccp_chunk *current;                  /* unordered: being read, or NULL */
  uint64_t pulled, yielded;            /* items */
  lua_Integer n;                       /* of an array; -1: iterator */
  int64_t begun_ns, deadline_ns;
  uint32_t chunksize;  /* 0: ours to choose */
  uint64_t buffersize; /* 0: no bound */
  uint8_t ordered, returns_errors, star;
  uint8_t exhausted;     /* the source has no more */
  uint8_t source_failed; /* user value FAILED is the error to raise then */
  uint8_t closed;
} map;

static const char class_key = 0; /* its address: in the registry */

static map *check(lua_State *L, int arg) {
  map *m = lua_touserdata(L, arg);
  /* a light userdata has no length */
  if (!m || lua_rawlen(L, arg) != sizeof *m || m->magic != MAGIC)
    luaL_typeerror(L, arg, "ccpool map iterator");
  return m;
}

/* ------------------------------------------------------------ chunks */

static void append(map *m, ccp_chunk *c) {
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

static void make_ready(map *m, ccp_chunk *c) {
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
  map *m = c->task.owner;
  if (!m) {
    if (c->task.final)
      ccp_chunk_free(c);
    return;
  }
  if (m->ordered)
    c->news = 1;
  else {
    if (!c->queued)
      append(m, c); /* was split off another */
    make_ready(m, c);
  }
}

static void close_map(map *m) {
  ccp_chunk *c;
  if (m->closed)
    return;
  m->closed = m->exhausted = 1;
  if (m->handle && m->handle->pool && ccp_pool_is_ours(m->handle->pool)) {
    for (c = m->first; c; c = c->behind)
      ccp_pool_cancel_chunk(m->handle->pool, c);
    while ((c = m->first) != NULL) {
      m->first = c->behind;
      drop(c);
    }
  } else if (!m->handle)
    while ((c = m->first) != NULL) {
      m->first = c->behind;
      ccp_chunk_free(c);
    }
  m->last = m->ready_first = m->ready_last = m->current = NULL;
  ccp_buf_fini(&m->fn);
  ccp_buf_fini(&m->body);
  if (m->handle)
    ccp_handle_leave(m->handle);
  m->handle = NULL;
}

/* ------------------------------------------------------------ pulling */

/* Pushes the arguments of the next call; -1: the source has ended. */
static int pull_array(lua_State *L, map *m) {
  lua_Integer i = (lua_Integer)m->pulled + 1;
  if (i > m->n)
    return -1;
  lua_getiuservalue(L, 1, SOURCE);
  lua_rawgeti(L, -1, i);
  lua_remove(L, -2);
  if (lua_isnil(L, -1))
    return luaL_error(L, "bad argument #2 to 'map' (element %I of the array is "
                         "nil)",
                      (LUAI_UACINT)i);
  return 1;
}

static int pull_iterator(lua_State *L, map *m) {
  int base = lua_gettop(L);
  (void)m;
  lua_getiuservalue(L, 1, SOURCE);
  lua_call(L, 0, LUA_MULTRET);
  if (lua_gettop(L) == base || lua_isnil(L, base + 1)) {
    lua_settop(L, base);
    return -1;
  }
  return lua_gettop(L) - base;
}

/* Replaces the table on top by its elements. */
static int unpack_star(lua_State *L, const map *m) {
  int t = lua_gettop(L);
  lua_Integer n;
  if (!lua_istable(L, t))
    return luaL_error(L, "starmap: item %I is no array of arguments",
                      (LUAI_UACINT)m->pulled + 1);
  n = lua_getfield(L, t, "n") == LUA_TNUMBER ? lua_tointeger(L, -1)
                                             : (lua_Integer)lua_rawlen(L, t);
  lua_pop(L, 1);
  luaL_argcheck(L, n >= 0 && n < 1000000, 3, "too many arguments in an item");
  luaL_checkstack(L, (int)n + 4, "too many arguments");
  for (lua_Integer i = 1; i <= n; i++)
    lua_rawgeti(L, t, i);
  lua_remove(L, t);
  return (int)n;
}

static int pull(lua_State *L, map *m) {
  int base = lua_gettop(L);
  int n = m->n >= 0 ? pull_array(L, m) : pull_iterator(L, m);
  if (n <= 0 || !m->star)
    return n;
  lua_settop(L, base + 1);
  return unpack_star(L, m);
}

/* The path of what cannot travel is only worked out when it is needed. */
static int raise_item(lua_State *L, map *m, int first, int n, int rc) {
  char noun[64];
  ccp_what what = {noun, 1};
  ccp_buf scratch;
  if (rc == CCP_E_NOTSENDABLE && n > 1) {
    lua_pop(L, 1);
    (void)snprintf(noun, sizeof noun, "item %llu argument",
                   (unsigned long long)m->pulled + 1);
    ccp_buf_init(&scratch);
    rc = ccp_encode(L, first, n, what, &scratch, NULL);
    ccp_buf_fini(&scratch);
  }
  return ccp_error_raise(L, rc, NULL);
}

/* Adds one item to the body. 0: the source has ended. */
static int add_item(lua_State *L, map *m) {
  int base = lua_gettop(L), n = pull(L, m), rc;
  const ccp_what what = {"item", (int)m->pulled + 1};
  size_t at = m->body.len;
  uint32_t len = 0;
  if (n < 0)
    return 0;
  luaL_checkstack(L, 6, NULL);
  rc = ccp_buf_put(&m->body, &len, sizeof len);
  if (rc == CCP_OK)
    rc = ccp_encode_in(L, m->ex->client->codec, base + 1, n, what, &m->body,
                       m->handle ? ccp_pool_funcs(m->handle->pool) : NULL);
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
static uint32_t auto_size(const map *m) {
  double k;
  if (m->n >= 0)
    k = (double)m->n / (double)(m->ex->max_workers * AUTO_PER_WORKER);
  else
    k = (double)m->yielded * AUTO_NS /
        (double)(ccp_clock_now_ns() - m->begun_ns + 1);
  return k < 1 ? 1 : k > AUTO_MOST ? AUTO_MOST : (uint32_t)k;
}

static uint64_t room(const map *m, uint32_t size) {
  uint64_t most = m->buffersize, ahead = m->pulled - m->yielded;
  if (!most && m->n < 0)
    most = (uint64_t)size * m->ex->max_workers * CHUNKS_PER_WORKER;
  if (!most)
    return size;
  if (ahead >= most)
    return 0;
  return most - ahead < size ? most - ahead : size;
}

static void submit(lua_State *L, map *m) {
  uint64_t first = m->pulled - m->body_items + 1;
  ccp_chunk *c = ccp_chunk_new(m, first, m->body_items);
  int rc;
  m->body.len = m->body_good; /* without an item that failed */
  rc = c ? ccp_body_from(&c->task.body, &m->body) : CCP_E_NOMEM;
  if (rc == CCP_OK && m->handle)
    rc = ccp_pool_submit(m->handle->pool, &c->task);
  if (rc != CCP_OK) {
    if (c)
      ccp_chunk_free(c);
    m->pulled -= m->body_items;
    (void)ccp_executor_raise(L, m->ex, rc);
    return;
  }
  append(m, c);
  if (!m->handle)
    ccp_serial_chunk(L, c, &m->ex->inline_counts);
  else
    ccp_client_take(L, m->ex->client, m->handle);
}

/* The integers that come next in the array at 2, without asking the codec. */
static int add_integers(lua_State *L, map *m, uint64_t most) {
  uint32_t before = m->body_items;
  while (m->body_items < most && m->body.len < BODY_BYTES) {
    unsigned char *to = ccp_buf_room(&m->body, 4 + CCP_QUICK_ROOM);
    int is_integer;
    uint32_t len;
    lua_rawgeti(L, 2, (lua_Integer)m->pulled + 1);
    is_integer = lua_isinteger(L, -1);
    if (to && is_integer) {
      len = (uint32_t)ccp_quick_write(to + 4, lua_tointegerx(L, -1, NULL));
      memcpy(to, &len, sizeof len);
      m->body.len += sizeof len + len;
      m->body_items++;
      m->pulled++;
    }
    lua_pop(L, 1);
    if (!to || !is_integer)
      break;
  }
  m->body_good = m->body.len;
  return m->body_items > before;
}

/* Stack: map. Fills the body with the items of one chunk. */
static int fill_chunk(lua_State *L) {
  map *m = lua_touserdata(L, 1);
  const unsigned char kind = CCP_BODY_CHUNK;
  uint32_t size = m->chunksize ? m->chunksize : auto_size(m);
  uint64_t most = room(m, size);
  uint32_t fn_len = (uint32_t)m->fn.len;
  ccp_buf_reset(&m->body);
  if (ccp_buf_put(&m->body, &kind, 1) != CCP_OK ||
      ccp_buf_put(&m->body, &fn_len, sizeof fn_len) != CCP_OK ||
      ccp_buf_put(&m->body, m->fn.data, m->fn.len) != CCP_OK)
    return ccp_error_raise(L, CCP_E_NOMEM, NULL);
  if (most > CCP_ITEMS_MOST)
    most = CCP_ITEMS_MOST;
  if (m->n >= 0 && !m->star)
    lua_getiuservalue(L, 1, SOURCE); /* at 2, for add_integers */
  while (m->body_items < most &&
         (m->body_items == 0 || m->chunksize || m->body.len < BODY_BYTES)) {
    if (m->n >= 0 && !m->star && add_integers(L, m, most))
      continue;
    if (!add_item(L, m)) {
      m->exhausted = 1;
      break;
    }
  }
  return 0;
}

/* Keeps the pool supplied. An error of the source or of an item ends the
** sequence there; it surfaces at the step that would have needed that item,
** and the items before it are submitted. */
static void fill(lua_State *L, map *m) {
  while (!m->exhausted && room(m, 1) > 0) {
    int status;
    lua_pushcfunction(L, fill_chunk);
    lua_pushvalue(L, 1);
    m->body_items = 0;
    status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK) {
      m->exhausted = m->source_failed = 1;
      lua_setiuservalue(L, 1, FAILED);
    }
    if (m->body_items)
      submit(L, m);
  }
}

/* ------------------------------------------------------------ reading */

static int has_news(lua_State *L, void *ud) {
  map *m = ud;
  (void)L;
  return m->ordered ? m->first->news : m->ready_first != NULL;
}

static void wait_for_news(lua_State *L, map *m) {
  if (ccp_client_wait(L, m->ex->client, m->handle->pool, m->deadline_ns,
                      has_news, m) == CCP_OK)
    return;
  close_map(m);
  (void)ccp_error_raise(L, CCP_E_TIMEOUT, "map: the time is up");
}

static int all_read(const ccp_chunk *c) {
  return c->finished && c->at == c->reading.len && c->read == c->known;
}

/* The first chunk is read to its end: those split off it come next. */
static void pop_first(map *m, ccp_chunk *segment) {
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

static ccp_chunk *look(const map *m, ccp_chunk *c) {
  c->news = 0;
  return m->handle ? ccp_pool_progress(m->handle->pool, c) : c->segment;
}

/* The chunk whose next reply is to be given, or NULL: there is none left. */
static ccp_chunk *next_ordered(lua_State *L, map *m) {
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

static ccp_chunk *next_ready(map *m) {
  ccp_chunk *c = m->ready_first;
  m->ready_first = c->ready;
  if (!m->ready_first)
    m->ready_last = NULL;
  (void)look(m, c);
  return c;
}

/* Chunks leave the list from its beginning only; one that is read to its end
** behind another stays for a while. */
static ccp_chunk *next_unordered(lua_State *L, map *m) {
  for (;;) {
    ccp_chunk *c = m->current;
    if (c && (c->at < c->reading.len ||
              (c->finished && c->read < c->known && !c->news)))
      return c;
    m->current = NULL;
    while (m->first && all_read(m->first) && !m->first->news &&
           m->first->task.final)
      pop_first(m, NULL);
    if (!m->first || m->yielded == m->pulled)
      return NULL;
    if (!m->ready_first)
      wait_for_news(L, m);
    m->current = next_ready(m);
  }
}

/* Pushes what a step gives for this reply; returns how many values. */
static int give_values(lua_State *L, const map *m, const void *p, size_t len) {
  size_t used;
  if (m->returns_errors)
    lua_pushboolean(L, 1);
  if (ccp_quick_push(L, p, len))
    return 2 + m->returns_errors;
  return ccp_decode_in(L, m->ex->client->codec, p, len, &used, NULL) + 1 +
         m->returns_errors;
}

static int give_error(lua_State *L, const map *m, uint8_t status,
                      const void *p, size_t len) {
  int top = lua_gettop(L);
  ccp_error_of_reply(L, status, p, len);
  lua_settop(L, top + 1); /* without the traceback */
  if (!m->returns_errors)
    return lua_error(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 3;
}

typedef struct block_guard {
  void *block;
} block_guard;

static int block_guard__gc(lua_State *L) {
  block_guard *g = lua_touserdata(L, 1);
  ccp_arena_free(g->block);
  g->block = NULL;
  return 0;
}

static block_guard *push_guard(lua_State *L) {
  block_guard *g = lua_newuserdatauv(L, sizeof *g, 0);
  g->block = NULL;
  if (luaL_newmetatable(L, "ccpool.block")) {
    lua_pushcfunction(L, block_guard__gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return g;
}

/* Moves on to the next reply. A block among the replies gets an owner first:
** decoding may raise. */
static block_guard *take_reply(lua_State *L, ccp_chunk *c, ccp_item_head *h,
                               const unsigned char **bytes) {
  const unsigned char *p = ccp_bytes_at(&c->reading) + c->at;
  block_guard *guard = NULL;
  if (c->at == c->reading.len)
    return NULL; /* there was no memory for this reply */
  memcpy(h, p, sizeof *h);
  p += sizeof *h;
  if (h->is_block) {
    guard = push_guard(L);
    memcpy(&guard->block, p, sizeof guard->block);
    *bytes = guard->block;
    c->at += sizeof *h + sizeof guard->block;
  } else {
    *bytes = p;
    c->at += sizeof *h + (size_t)h->len;
  }
  return guard;
}

static int give(lua_State *L, map *m, ccp_chunk *c) {
  ccp_item_head h = {0, CCP_R_MEMORY, 0};
  const unsigned char *bytes = NULL;
  block_guard *guard = take_reply(L, c, &h, &bytes);
  int n;
  lua_pushinteger(L, (lua_Integer)(c->first + c->read));
  c->read++;
  m->yielded++;
  n = h.status == CCP_R_VALUES
          ? give_values(L, m, bytes, (size_t)h.len)
          : give_error(L, m, h.status, bytes, (size_t)h.len);
  if (guard) {
    ccp_arena_free(guard->block);
    guard->block = NULL;
  }
  return n;
}

static int map_step(lua_State *L) {
  map *m = check(L, 1);
  ccp_chunk *c;
  if (m->closed)
    return 0;
  if (m->handle && !ccp_pool_is_ours(m->handle->pool))
    return luaL_error(L, "this iterator belongs to the process that made it");
  if (!m->exhausted)
    fill(L, m);
  c = m->ordered || !m->handle ? next_ordered(L, m) : next_unordered(L, m);
  if (c)
    return give(L, m, c);
  if (m->source_failed) {
    m->source_failed = 0;
    lua_getiuservalue(L, 1, FAILED);
    return lua_error(L);
  }
  close_map(m);
  return 0;
}

static int map_close(lua_State *L) {
  close_map(check(L, 1));
  return 0;
}

static int map_returns_errors(lua_State *L) {
  lua_pushboolean(L, check(L, 1)->returns_errors);
  return 1;
}

static int map__tostring(lua_State *L) {
  const map *m = check(L, 1);
  lua_pushfstring(L, "ccpool.Map: %p (%s)", lua_topointer(L, 1),
                  m->closed ? "closed" : "open");
  return 1;
}

/* ------------------------------------------------------------ making */

/* Stack: executor object, function, source. */
static map *push_map(lua_State *L, ccp_executor *ex) {
  map *m = lua_newuserdatauv(L, sizeof *m, 3);
  memset(m, 0, sizeof *m);
  m->magic = MAGIC;
  m->ex = ex;
  m->n = -1;
  ccp_buf_init(&m->fn);
  ccp_buf_init(&m->body);
  m->body.blocks = &ccp_body_blocks;
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, SOURCE);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, EXECUTOR);
  m->handle = ex->handle;
  if (m->handle)
    m->handle->objects++;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
  lua_setmetatable(L, -2);
  return m;
}

static void encode_function(lua_State *L, map *m) {
  const ccp_what what = {"argument", 0};
  int rc = ccp_encode_call(L, 2, 1, what, &m->fn,
                           m->handle ? ccp_pool_funcs(m->handle->pool) : NULL);
  if (rc != CCP_OK)
    (void)ccp_error_raise(L, rc, NULL);
}

/* map(executor, fn, source, chunksize | 0, buffersize | 0, ordered, timeout,
** returns_errors, star) -> what a generic for wants. */
static int core_map(lua_State *L) {
  ccp_executor *ex = ccp_executor_check(L, 1);
  int64_t deadline = ccp_check_timeout(L, 7);
  map *m;
  ccp_check_target(L, 2);
  if (!ex->handle && ex->shut)
    return ccp_error_raise(L, CCP_E_CLOSED, NULL);
  lua_settop(L, 9);
  m = push_map(L, ex);
  m->begun_ns = ccp_clock_now_ns();
  m->deadline_ns = deadline;
  m->chunksize = (uint32_t)luaL_checkinteger(L, 4);
  m->buffersize = (uint64_t)luaL_checkinteger(L, 5);
  m->ordered = (uint8_t)lua_toboolean(L, 6);
  m->returns_errors = (uint8_t)lua_toboolean(L, 8);
  m->star = (uint8_t)lua_toboolean(L, 9);
  encode_function(L, m);
  if (lua_istable(L, 3))
    m->n = (lua_Integer)lua_rawlen(L, 3);
  lua_replace(L, 1); /* the map */
  lua_settop(L, 1);
  if (m->n >= 0) {
    fill(L, m);
    if (m->source_failed && m->pulled < (uint64_t)m->n) {
      close_map(m); /* an element that cannot be sent: nothing is */
      lua_getiuservalue(L, 1, FAILED);
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
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, map_close);
  lua_setfield(L, -2, "close");
  lua_pushcfunction(L, map_returns_errors);
  lua_setfield(L, -2, "returns_errors");
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  lua_setfield(L, -3, "Map"); /* the methods: Lua adds collect */
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
}
