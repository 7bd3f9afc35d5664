/*
** Registered types and their values to bytes. See encode.h. The thread of the
** state.
**
** A value is its type and what its `save` gave. The type goes by its name if
** the other side knows that, else whole: metatable, save and load, which the
** other side then registers. In the memo a type stands by its entry.
*/
#include "codec/encode.h"

#include <string.h>

#include "codec/custom.h"
#include "codec/emit.h"
#include "os/codes.h"

/* Field of the table of what must stay alive: the types that stand first. */
#define FIRST "first"
enum { FIRST_MAX = 64 };

/* The name of the type whose entry is at idx, and the module's behind a zero.
** Pushes it. */
static const char *push_text(lua_State *L, int idx, size_t *len) {
  lua_rawgeti(L, idx, CCP_E_NAME);
  if (lua_rawgeti(L, idx, CCP_E_MODULE) == LUA_TSTRING) {
    lua_pushlstring(L, "", 1);
    lua_insert(L, -2);
    lua_concat(L, 3);
  } else
    lua_pop(L, 1);
  return lua_tolstring(L, -1, len);
}

static int put_known(ccp_enc *e) {
  lua_State *L = e->L;
  size_t len;
  const char *text = push_text(L, lua_gettop(L), &len);
  int rc = ccp_emit_bytes(e->b, CCP_T_TYPE0, text, len);
  lua_pop(L, 2);
  return rc;
}

/* --- values that a part of their own type holds --- */

/* The table of what must stay alive also holds, for each open type, the list of
** its values that have been met: entry -> { container, key, value, ... }. */
static void set_list(ccp_enc *e, int entry) {
  lua_pushvalue(e->L, entry);
  lua_insert(e->L, -2);
  lua_rawset(e->L, ccp_enc_alive(e));
}

static int push_list(ccp_enc *e, int entry) {
  lua_pushvalue(e->L, entry);
  if (lua_rawget(e->L, ccp_enc_alive(e)) == LUA_TTABLE)
    return 1;
  lua_pop(e->L, 1);
  return 0;
}

/* Can the value on its way be put in its place when that type is known? Not if
** it is among what another value is loaded from: its load would miss it. */
static int may_be_late(const ccp_enc *e, const void *entry) {
  int at = ccp_enc_top(e)->at;
  if (at != CCP_AT_ITEM && at != CCP_AT_KEY && at != CCP_AT_VALUE &&
      at != CCP_AT_UPVALUE)
    return 0;
  for (size_t level = e->depth; level-- > 0;) {
    const ccp_frame *f = ccp_enc_frame(e, level);
    if (f->at == CCP_AT_SAVED && f->next > 1) /* the first is its type */
      return 0;
    if (f->at == CCP_AT_TYPE && f->obj == entry)
      return 1;
  }
  return 0;
}

/* Stack: value p, its entry. Its type is being written: CCP_WRITTEN, as nil,
** and both are popped; CCP_NAMELESS if it is not, or the value cannot wait. A
** key waits with what it maps to: its frame tells so, and nothing is written.
*/
static int put_late(ccp_enc *e, const void *p) {
  lua_State *L = e->L;
  int entry = lua_gettop(L), slot = ccp_enc_slot(e, e->depth - 1);
  ccp_frame *f = ccp_enc_top(e);
  if (!may_be_late(e, lua_topointer(L, entry)) || !push_list(e, entry))
    return CCP_NAMELESS;
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  lua_pushvalue(L, slot);
  lua_rawseti(L, -2, n + 1);
  if (f->at == CCP_AT_UPVALUE)
    lua_pushinteger(L, (lua_Integer)f->next);
  else
    lua_pushvalue(L, slot + 1);
  lua_rawseti(L, -2, n + 2);
  lua_pushvalue(L, entry - 1);
  if (f->at == CCP_AT_KEY)
    lua_rawget(L, slot);
  lua_rawseti(L, -2, n + 3);
  lua_settop(L, entry - 2);
  ccp_memo_set(&e->s->seen, p, CCP_LATE);
  if (f->at != CCP_AT_KEY)
    return ccp_emit_tag(e->b, CCP_T_NIL);
  f->at = CCP_AT_VALUE;
  return CCP_WRITTEN;
}

/* The list of the type at that index, which is known from now on. */
static int put_list(ccp_enc *e, int entry) {
  lua_State *L = e->L;
  e->types--;
  if (!push_list(e, entry))
    lua_pushnil(L);
  lua_pushnil(L);
  set_list(e, entry);
  if (lua_istable(L, -1) && lua_rawlen(L, -1) == 0) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  return ccp_enc_put(e);
}

/* --- types --- */

/* The frame's container is the entry: its first fields are the parts. */
static int open_type(ccp_enc *e, const void *entry, size_t off) {
  lua_State *L = e->L;
  size_t len;
  lua_rawgeti(L, -1, CCP_E_NAME);
  const char *name = lua_tolstring(L, -1, &len);
  int rc = ccp_emit_bytes(e->b, CCP_T_TYPE, name, len);
  lua_rawgeti(L, -2, CCP_E_NUMBER);
  uint64_t number = (uint64_t)lua_tointeger(L, -1);
  lua_pop(L, 2);
  unsigned char *at = ccp_buf_room(e->b, CCP_VARINT_MAX);
  if (rc != CCP_OK || at == NULL)
    return CCP_E_NOMEM;
  e->b->len += (size_t)(ccp_wire_varint(at, number) - at);
  ccp_memo_set(&e->s->seen, entry, (uint64_t)off << 1 | 1);
  lua_newtable(L);
  set_list(e, lua_gettop(L) - 1);
  e->types++;
  rc = ccp_enc_open(e, CCP_AT_TYPE, off, CCP_E_PARTS + 1); /* and the list */
  if (rc == CCP_OPENED)
    ccp_enc_top(e)->obj = entry;
  return rc;
}

int ccp_enc_put_type(ccp_enc *e) {
  lua_State *L = e->L;
  const void *entry = lua_topointer(L, -1);
  size_t off = ccp_enc_offset(e);
  uint64_t word;
  int rc = ccp_memo_add(&e->s->seen, entry, (uint64_t)off << 1, &word);
  if (rc != 0)
    return rc == 1 ? ccp_enc_put_ref(e, word) : rc;
  lua_pushvalue(L, -1); /* a `save` may register another in its place */
  ccp_enc_keep(e);
  if (ccp_custom_is_known(L, e->ctx, ccp_enc_ctx(e), e->fs))
    return put_known(e);
  return open_type(e, entry, off);
}

/* The metatable on the top, inside its own type: by name or as the table that
** it is, unless it stands in this message already. */
static int put_metatable(ccp_enc *e, size_t type_off) {
  lua_State *L = e->L;
  const void *p = lua_topointer(L, -1);
  size_t off = ccp_enc_offset(e);
  uint64_t word;
  int rc = ccp_memo_add(&e->s->seen, p, (uint64_t)off << 1, &word);
  if (rc < 0 || (rc == 1 && word >> 1 != type_off))
    return rc < 0 ? rc : ccp_enc_put_ref(e, word);
  ccp_memo_set(&e->s->seen, p, (uint64_t)off << 1);
  rc = ccp_enc_put_name(e, p, 0);
  if (rc != CCP_NAMELESS)
    return rc;
  int meta = lua_getmetatable(L, -1);
  if (meta)
    lua_pop(L, 1);
  return ccp_enc_open_table(e, off, meta);
}

/* From now on others may refer to the type, by its entry or its metatable. */
static void end_type(ccp_enc *e, const ccp_frame *f, int slot) {
  uint64_t word = (uint64_t)f->off << 1;
  lua_State *L = e->L;
  lua_pushvalue(L, slot);
  if (!ccp_custom_has(L, CCP_E_OPAQUE)) {
    lua_rawgeti(L, slot, CCP_E_METATABLE);
    ccp_memo_set(&e->s->seen, lua_topointer(L, -1), word);
    lua_pop(L, 1);
  }
  ccp_memo_set(&e->s->seen, f->obj, word);
  lua_pop(L, 1);
}

static int put_part(ccp_enc *e, const ccp_frame *f, int slot) {
  lua_State *L = e->L;
  if (f->next > CCP_E_PARTS) {
    end_type(e, f, slot);
    return put_list(e, slot);
  }
  if (f->next == CCP_E_METATABLE) {
    lua_pushvalue(L, slot);
    int opaque = ccp_custom_has(L, CCP_E_OPAQUE);
    lua_pop(L, 1);
    if (opaque)
      return ccp_emit_tag(e->b, CCP_T_NIL);
  }
  lua_rawgeti(L, slot, (lua_Integer)f->next);
  return f->next == CCP_E_METATABLE ? put_metatable(e, f->off) : ccp_enc_put(e);
}

int ccp_enc_step_type(ccp_enc *e) {
  ccp_frame *f = ccp_enc_top(e);
  int slot = ccp_enc_slot(e, e->depth - 1), rc = CCP_WRITTEN;
  while (rc == CCP_WRITTEN && f->next < f->count) {
    f->next++;
    rc = put_part(e, f, slot);
  }
  return rc;
}

/* Stack: value, its entry. Must the type be written first? The value may be
** found again in a part of it. */
static int is_first(ccp_enc *e) {
  return !ccp_memo_has(&e->s->seen, lua_topointer(e->L, -1)) &&
         !ccp_custom_is_known(e->L, e->ctx, ccp_enc_ctx(e), e->fs);
}

/* Is the type to stand before all values? A function that is being written is
** not whole before it ends, and what is saved in its upvalues is loaded before
** that: the type's `load` may be or call that function. */
static int is_awaited(const ccp_enc *e) {
  if (e->types > 0)
    return 0;
  for (size_t level = e->depth; level-- > 0;)
    if (ccp_enc_frame(e, level)->at == CCP_AT_UPVALUE)
      return 1;
  return 0;
}

/* Pushes the list of the types that stand first, of which there are *n. */
static void push_first(ccp_enc *e, lua_Integer *n) {
  lua_State *L = e->L;
  int alive = ccp_enc_alive(e);
  if (lua_isnil(L, alive)) {
    lua_newtable(L);
    lua_replace(L, alive);
  }
  if (lua_getfield(L, alive, FIRST) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, alive, FIRST);
  }
  *n = (lua_Integer)lua_rawlen(L, -1);
}

/* Stack: entry. Puts the type before all values, next time. There is none if
** the types are too many: a `save` may register one each time it runs. */
static int put_first(ccp_enc *e) {
  lua_State *L = e->L;
  lua_Integer n;
  push_first(e, &n);
  if (n < FIRST_MAX) {
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, n + 1);
  }
  lua_pop(L, 1);
  return n < FIRST_MAX ? CCP_STALE : CCP_NAMELESS;
}

int ccp_enc_next_type(ccp_enc *e, int i) {
  lua_State *L = e->L;
  int alive = ccp_enc_alive(e), rc = CCP_NAMELESS;
  lua_settop(L, alive);
  if (lua_isnil(L, alive))
    return rc;
  if (lua_getfield(L, alive, FIRST) == LUA_TTABLE &&
      lua_rawgeti(L, -1, i) == LUA_TTABLE) {
    lua_replace(L, alive + 1);
    rc = ccp_emit_tag(e->b, CCP_T_AFTER);
    return rc == CCP_OK ? ccp_enc_put_type(e) : rc;
  }
  lua_settop(L, alive);
  return rc;
}

void ccp_enc_forget(ccp_enc *e) {
  lua_State *L = e->L;
  int alive = ccp_enc_alive(e);
  lua_settop(L, alive);
  if (lua_isnil(L, alive))
    return;
  lua_newtable(L);
  lua_getfield(L, alive, FIRST);
  lua_setfield(L, -2, FIRST);
  lua_replace(L, alive);
}

static int open_after(ccp_enc *e, const void *p, size_t off) {
  int rc = ccp_emit_tag(e->b, CCP_T_AFTER);
  lua_pop(e->L, 1);
  ccp_memo_set(&e->s->seen, p, CCP_LATE);
  return rc != CCP_OK ? rc : ccp_enc_open(e, CCP_AT_AFTER, off, 2);
}

int ccp_enc_step_after(ccp_enc *e) {
  ccp_frame *f = ccp_enc_top(e);
  int slot = ccp_enc_slot(e, e->depth - 1), rc = CCP_WRITTEN;
  while (rc == CCP_WRITTEN && f->next < f->count) {
    lua_pushvalue(e->L, slot);
    if (f->next++ > 0)
      rc = ccp_enc_put(e);
    else {
      int found = ccp_custom_find(e->L, e->ctx, ccp_enc_ctx(e));
      lua_remove(e->L, found ? -2 : -1);
      /* not found if a `save` has taken the metatable away */
      rc = found ? ccp_enc_put_type(e) : ccp_emit_tag(e->b, CCP_T_NIL);
    }
  }
  return rc;
}

/* Calls `save` as ccp_custom_save does; it learns what for. Other code may run
** before it asks, a finalizer or a hook, and be encoding, too: what it set is
** put back. */
static int save(ccp_enc *e, int *n) {
  const ccp_funcs *around_for = e->ctx->saving_for;
  int around_as = e->ctx->saving_as;
  e->ctx->saving_for = e->fs;
  e->ctx->saving_as = e->what.purpose;
  int rc = ccp_custom_save(e->L, n);
  e->ctx->saving_for = around_for;
  e->ctx->saving_as = around_as;
  return rc;
}

/* Stack: value, its entry. Opens what its `save` gives. */
int ccp_enc_open_saved(ccp_enc *e, const void *p, size_t off) {
  lua_State *L = e->L;
  int n = 0;
  int late = e->types > 0 ? put_late(e, p) : CCP_NAMELESS;
  if (late != CCP_NAMELESS)
    return late;
  if (is_first(e)) {
    int first = is_awaited(e) ? put_first(e) : CCP_NAMELESS;
    return first != CCP_NAMELESS ? first : open_after(e, p, off);
  }
  if (save(e, &n) != LUA_OK)
    return ccp_enc_refuse_saved(e);
  /* User code ran: a string may have died, another may have its address. */
  if (e->s->strs != NULL)
    ccp_strs_clear(e->s->strs, 0);
  int rc = ccp_emit_varint(e->b, CCP_T_USER, (uint64_t)n);
  if (rc != CCP_OK)
    return rc;
  lua_pushvalue(L, -1);
  ccp_enc_keep(e);
  ccp_memo_set(&e->s->seen, p, (uint64_t)off << 1 | 1);
  rc = ccp_enc_open(e, CCP_AT_SAVED, off, (uint64_t)n);
  if (rc == CCP_OPENED)
    ccp_enc_top(e)->obj = p;
  return rc;
}

int ccp_enc_step_saved(ccp_enc *e) {
  ccp_frame *f = ccp_enc_top(e);
  int slot = ccp_enc_slot(e, e->depth - 1), rc = CCP_WRITTEN;
  while (rc == CCP_WRITTEN && f->next < f->count) {
    lua_rawgeti(e->L, slot, (lua_Integer)++f->next);
    rc = f->next == 1 ? ccp_enc_put_type(e) : ccp_enc_put(e);
  }
  if (rc == CCP_WRITTEN) /* from now on others may refer to it */
    ccp_memo_set(&e->s->seen, f->obj, (uint64_t)f->off << 1);
  return rc;
}
