/*
** Handles of shared objects. The thread of the Lua state.
*/
#include "bind/lshared.h"

#include <stdlib.h>
#include <string.h>

#include "bind/lclient.h"
#include "bind/lerror.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/process.h"
#include "shared/arena.h"
#include "shared/array.h"
#include "shared/dict.h"
#include "shared/queue.h"

static const char sharing_key = 0; /* its address: in the registry */

/* ---------------------------------------------------------- handles */

ccp_shared *ccp_shared_push(lua_State *L, const char *tname) {
  ccp_shared *h = lua_newuserdatauv(L, sizeof *h, 1);
  memset(h, 0, sizeof *h);
  luaL_setmetatable(L, tname);
  return h;
}

static void fill(ccp_shared *h, ccp_object *o) {
  h->object = o;
  h->name = (ccp_object_name){atomic_load(&o->id), o->index};
  h->epoch = h->maker = ccp_process_epoch();
}

void ccp_shared_set(lua_State *L, ccp_shared *h, void *object) {
  if (!object)
    (void)ccp_error_raise(L, CCP_E_NOMEM, "no room in the arena");
  fill(h, object);
}

int ccp_shared_fail(lua_State *L, const char *kind, const char *message) {
  lua_pushnil(L);
  lua_pushnil(L);
  ccp_error_make(L, kind, message);
  return 2;
}

static int gone(lua_State *L, const char *tname, const char *why) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", tname, why);
  lua_insert(L, -2);
  ccp_error_make(L, "ClosedError", lua_tostring(L, -2));
  return lua_error(L);
}

/* A child has its parent's handles too, and was counted when it was forked. */
void *ccp_shared_object(lua_State *L, ccp_shared *h, const char *tname) {
  if (h->object && h->epoch != ccp_process_epoch()) {
    if (ccp_object_inherited(h->name))
      h->epoch = ccp_process_epoch();
    else
      h->object = NULL;
  }
  if (!h->object)
    (void)gone(L, tname, "the handle is closed, or the object gone");
  return h->object;
}

void *ccp_shared_check(lua_State *L, int arg, const char *tname) {
  return ccp_shared_object(L, luaL_checkudata(L, arg, tname), tname);
}

/* The kind comes first: while room is made a finalizer may close the handle. */
void ccp_shared_again(lua_State *L, const ccp_shared *h, const char *tname) {
  enum ccp_kind kind = (enum ccp_kind)h->object->kind;
  ccp_shared *again = ccp_shared_push(L, tname);
  ccp_object *o = ccp_object_take(h->name, kind, 0);
  if (!o)
    (void)ccp_error_raise(L, CCP_E_NOMEM, "no room for a handle");
  fill(again, o);
}

void ccp_shared_close(ccp_shared *h) {
  if (!h->object)
    return;
  h->object = NULL;
  ccp_object_release(h->name);
}

/* __gc and __close of all classes. */
static int shared__gc(lua_State *L) {
  ccp_shared *h = lua_touserdata(L, 1);
  if (h)
    ccp_shared_close(h);
  return 0;
}

static int shared__tostring(lua_State *L) {
  ccp_shared *h = lua_touserdata(L, 1);
  luaL_getmetafield(L, 1, "__name");
  if (h->object)
    lua_pushfstring(L, "%s: %p", lua_tostring(L, -1), (void *)h->object);
  else
    lua_pushfstring(L, "%s: closed", lua_tostring(L, -1));
  return 1;
}

/* Handles of one object are equal. */
static int shared__eq(lua_State *L) {
  const ccp_shared *a = lua_touserdata(L, 1), *b = lua_touserdata(L, 2);
  lua_pushboolean(L, a && b && lua_rawlen(L, 1) == lua_rawlen(L, 2) &&
                         a->name.id == b->name.id && a->object && b->object);
  return 1;
}

/* ---------------------------------------------------------- travelling */

static int remember(ccp_names *names, ccp_tracked t) {
  if (names->n == names->cap) {
    size_t cap = names->cap ? 2 * names->cap : 8;
    ccp_tracked *grown = realloc(names->list, cap * sizeof *grown);
    if (!grown)
      return 0;
    names->list = grown;
    names->cap = cap;
  }
  names->list[names->n++] = t;
  return 1;
}

/* Another handle of the object, which lives until the message is stored. */
static int track(ccp_names *names, ccp_tracked t) {
  if (!remember(names, t))
    return 0;
  if (ccp_object_take(t.name, (enum ccp_kind)t.kind, 0))
    return 1;
  names->n--;
  return 0;
}

/* save(handle) -> index, id, uservalue. Upvalue: the class's name. What is
** to be stored in a queue or dict will be kept by it; what goes with a task is
** lent, which a negative index says; else the message is in transit. */
static int shared_save(lua_State *L) {
  ccp_shared *h = lua_touserdata(L, 1);
  ccp_sharing *s = ccp_sharing_get(L);
  const char *tname = lua_tostring(L, lua_upvalueindex(1));
  ccp_object *o = ccp_shared_object(L, h, tname);
  lua_Integer index = h->name.index;
  int purpose = ccp_codec_saving(s->codec);
  if (purpose < 0) {
    if (!track(&s->tracks[CCP_DRAFT_STORED(purpose)],
               (ccp_tracked){h->name, o->kind}))
      return luaL_error(L, "not enough memory");
  } else if (purpose > 0) {
    ccp_shared_again(L, h, tname);
    ccp_sharing_lend(L, ccp_client_get(L), CCP_DRAFT_LENT(purpose));
    index = ~index;
  } else
    ccp_object_sent(h->name);
  lua_pushinteger(L, index);
  lua_pushinteger(L, (lua_Integer)h->name.id);
  lua_getiuservalue(L, 1, 1);
  return 3;
}

/* The collector counts that much as allocated: a handle is small, and without
** that many would gather. */
static void weigh(lua_State *L, size_t kb) {
#if LUA_VERSION_NUM < 505
  (void)lua_gc(L, LUA_GCSTEP, (int)kb);
#else
  (void)lua_gc(L, LUA_GCSTEP, kb << 10);
#endif
}

/* load(index, id, uservalue) -> handle. Upvalues: the class's name, its kind.
 */
static int shared_load(lua_State *L) {
  const char *tname = lua_tostring(L, lua_upvalueindex(1));
  enum ccp_kind kind = (enum ccp_kind)lua_tointeger(L, lua_upvalueindex(2));
  lua_Integer index = lua_tointeger(L, 1);
  int lent = index < 0;
  ccp_object_name name = {(uint64_t)lua_tointeger(L, 2),
                          (uint32_t)(lent ? ~index : index)};
  ccp_shared *h = ccp_shared_push(L, tname);
  ccp_object *o =
      ccp_object_take(name, kind, !lent && !ccp_sharing_get(L)->stored);
  if (!o)
    return gone(L, tname, "the object is gone: nobody held it any more");
  fill(h, o);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, 1);
  if (kind == CCP_K_ARRAY) {
    size_t kb = ccp_array_bytes((ccp_array *)(void *)o) >> 10;
    if (kb > 64)
      weigh(L, kb < 4096 ? kb : 4096);
  }
  return 1;
}

static void add_to_codec(lua_State *L, const ccp_shared_class *c) {
  lua_pushcfunction(L, ccp_codec_register);
  lua_pushstring(L, c->tname);
  luaL_getmetatable(L, c->tname);
  lua_pushstring(L, c->tname);
  lua_pushcclosure(L, shared_save, 1);
  lua_pushstring(L, c->tname);
  lua_pushinteger(L, c->kind);
  lua_pushcclosure(L, shared_load, 2);
  lua_call(L, 4, 0);
}

static void set_function(lua_State *L, const char *name, lua_CFunction f) {
  if (!f)
    return;
  lua_pushcfunction(L, f);
  lua_setfield(L, -2, name);
}

void ccp_shared_add_class(lua_State *L, const ccp_shared_class *c) {
  const char *name = strchr(c->tname, '.') + 1;
  luaL_newmetatable(L, c->tname); /* core, meta */
  set_function(L, "__gc", shared__gc);
  set_function(L, "__close", c->close ? c->close : shared__gc);
  set_function(L, "__tostring", shared__tostring);
  set_function(L, "__eq", shared__eq);
  set_function(L, "__len", c->len);
  set_function(L, "__newindex", c->newindex);
  lua_newtable(L);
  luaL_setfuncs(L, c->methods, 0); /* core, meta, methods */
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, name);
  lua_pushvalue(L, -1);
  if (c->index)
    lua_pushcclosure(L, c->index, 1);
  lua_setfield(L, -3, "__index");
  lua_pop(L, 2);
  luaL_getsubtable(L, -1, "shared");
  set_function(L, name, c->make);
  lua_pop(L, 1);
  add_to_codec(L, c);
}

/* ---------------------------------------------------------- the state */

static ccp_latch *latch_of(ccp_object *o) {
  switch (o->kind) {
  case CCP_K_LOCK:
    return &((ccp_lockobj *)(void *)o)->latch;
  case CCP_K_ARRAY:
    return &((ccp_array *)(void *)o)->latch;
  case CCP_K_DICT:
    return &((ccp_dict *)(void *)o)->latch;
  default:
    return NULL;
  }
}

static void abandon(ccp_sharing *s) {
  ccp_who who = ccp_sharing_who(s);
  for (size_t i = 0; i < s->held.n; i++) {
    const ccp_tracked *t = &s->held.list[i];
    ccp_object *o = ccp_object_take(t->name, (enum ccp_kind)t->kind, 0);
    if (!o)
      continue;
    if (latch_of(o))
      ccp_latch_abandon(o, latch_of(o), who);
    ccp_object_release(t->name);
  }
}

/* A child holds nothing yet; and the blocks that its buffers lie in are its
** parent's, who goes on writing to them. */
static void see_epoch(ccp_sharing *s) {
  if (s->epoch == ccp_process_epoch())
    return;
  s->epoch = ccp_process_epoch();
  s->held.n = 0;
  s->drafts.n = s->stored = 0;
  (void)ccp_buf_detach(&s->out);
  for (int i = 0; i < CCP_DRAFTS; i++)
    (void)ccp_buf_detach(&s->outs[i]);
}

static int sharing__gc(lua_State *L) {
  ccp_sharing *s = lua_touserdata(L, 1);
  see_epoch(s);
  if (s->held.n > 0)
    abandon(s);
  ccp_sharing_untrack(&s->track);
  free(s->held.list);
  free(s->track.list);
  s->held = s->track = (ccp_names){NULL, 0, 0};
  ccp_buf_fini(&s->out);
  for (int i = 0; i < CCP_DRAFTS; i++) {
    ccp_sharing_untrack(&s->tracks[i]);
    free(s->tracks[i].list);
    s->tracks[i] = (ccp_names){NULL, 0, 0};
    ccp_buf_fini(&s->outs[i]);
  }
  return 0;
}

/* Bytes of a large message grow right in an arena block, which is given back if
** this process dies before it was stored. */
static void *take_block(void *ud, size_t len, size_t *room) {
  void *block = ccp_arena_alloc(len, room);
  (void)ud;
  if (block)
    ccp_hand_hold(block);
  return block;
}

static void give_block(void *ud, void *block) {
  (void)ud;
  ccp_hand_drop(block);
  ccp_arena_free(block);
}

static ccp_sharing *make_sharing(lua_State *L) {
  static _Atomic uint32_t states; /* relaxed: only has to differ */
  static const ccp_buf_blocks blocks = {CCP_ITEM_INLINE, NULL, take_block,
                                        give_block};
  ccp_sharing *s = lua_newuserdatauv(L, sizeof *s, 0);
  memset(s, 0, sizeof *s);
  s->number = 1 + atomic_fetch_add(&states, 1);
  s->epoch = ccp_process_epoch();
  ccp_buf_init(&s->out);
  s->out.blocks = &blocks;
  for (int i = 0; i < CCP_DRAFTS; i++)
    s->outs[i] = s->out;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, sharing__gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &sharing_key);
  s->codec = ccp_codec_of(L);
  return s;
}

ccp_sharing *ccp_sharing_get(lua_State *L) {
  ccp_sharing *s;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sharing_key);
  s = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (!s)
    return make_sharing(L);
  see_epoch(s);
  return s;
}

ccp_who ccp_sharing_who(const ccp_sharing *s) {
  return (ccp_who){ccp_member_me(), s->number};
}

void ccp_sharing_holds(ccp_sharing *s, const ccp_object *o) {
  ccp_tracked t = {{atomic_load(&o->id), o->index}, o->kind};
  for (size_t i = s->held.n; i > 0; i--)
    if (s->held.list[i - 1].name.id == t.name.id)
      return;
  (void)remember(&s->held, t); /* without memory: held until the process ends */
}

void ccp_sharing_dropped(ccp_sharing *s, const ccp_object *o) {
  uint64_t id = atomic_load(&o->id);
  for (size_t i = s->held.n; i > 0; i--)
    if (s->held.list[i - 1].name.id == id) {
      s->held.list[i - 1] = s->held.list[--s->held.n];
      return;
    }
}

int ccp_sharing_acquire(lua_State *L, ccp_sharing *s, ccp_object *o,
                        ccp_latch *l, int recursive, int64_t deadline_ns) {
  ccp_wait w = ccp_wait_begin(deadline_ns);
  int rc;
  do
    rc = ccp_latch_acquire(o, l, ccp_sharing_who(s), recursive,
                           ccp_wait_until(L, &w));
  while (ccp_wait_again(L, &w, rc));
  if (rc >= 0)
    ccp_sharing_holds(s, o);
  return rc;
}

int ccp_sharing_release(ccp_sharing *s, ccp_object *o, ccp_latch *l, int own) {
  int rc = ccp_latch_release(o, l, ccp_sharing_who(s), own);
  if (rc == CCP_OK)
    ccp_sharing_dropped(s, o);
  return rc;
}
