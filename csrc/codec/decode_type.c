/*
** Registered types out of bytes: what follows their parts. See decode.h. The
** thread of the state.
*/
#include "codec/decode.h"

#include "codec/custom.h"

/* Stack: ..., container, key, value. Puts it in its place, and pops them. */
static void place(ccp_dec *d) {
  lua_State *L = d->L;
  int c = lua_gettop(L) - 2, ok = 0;
  if (lua_istable(L, c) && !lua_isnoneornil(L, c + 1)) {
    ok = lua_type(L, c + 1) != LUA_TNUMBER ||
         lua_tonumber(L, c + 1) == lua_tonumber(L, c + 1);
    if (ok)
      lua_rawset(L, c);
  } else if (lua_isfunction(L, c) && !lua_iscfunction(L, c) &&
             lua_isinteger(L, c + 1)) {
    lua_Integer n = lua_tointeger(L, c + 1);
    ok = n > 0 && n < 256 && lua_setupvalue(L, c, (int)n) != NULL;
  }
  if (!ok)
    ccp_dec_bad(d, "no place for a value");
  lua_settop(L, c - 1);
}

/* Stack: ..., container, key, value. Is the container a type's metatable? */
static int is_type(ccp_dec *d) {
  lua_State *L = d->L;
  int top = lua_gettop(L);
  if (!lua_istable(L, top - 2))
    return 0;
  lua_pushvalue(L, top - 2);
  int found = ccp_custom_of(L, d->ctx, d->ctx_at);
  lua_settop(L, top);
  return found;
}

/* Of a type that was known, the parts that came with the message are not used,
** but other values may refer to them: they are made whole, too. What the
** metatable holds is left as it is. */
void ccp_dec_late(ccp_dec *d) {
  lua_State *L = d->L;
  ccp_open *f = ccp_dec_top(d);
  int list = lua_gettop(L);
  if (!lua_isnil(L, list) && !lua_istable(L, list))
    ccp_dec_bad(d, "no late values");
  lua_Integer n = lua_istable(L, list) ? (lua_Integer)lua_rawlen(L, list) : 0;
  for (lua_Integer i = 1; i + 2 <= n; i += 3) {
    for (int j = 0; j < 3; j++)
      lua_rawgeti(L, list, i + j);
    if (f->meta || !is_type(d))
      place(d);
    lua_settop(L, list);
  }
  lua_settop(L, list - 1);
  f->next = f->last + 2;
}

int ccp_dec_step_late(ccp_dec *d) {
  const ccp_open *f = ccp_dec_top(d);
  if (f->next > f->last + 1)
    return 1;
  if (ccp_dec_value(d) != CCP_PUSHED)
    return 0;
  ccp_dec_late(d);
  return 1;
}

void ccp_dec_remember_table(ccp_dec *d, uint64_t off) {
  const ccp_open *f = d->depth > 0 ? ccp_dec_top(d) : NULL;
  if (f != NULL && f->in == CCP_IN_TYPE && f->next == 1) {
    lua_pushvalue(d->L, ccp_dec_at(d, f));
    if (ccp_custom_push_known(d->L, d->ctx, d->ctx_at)) {
      ccp_dec_remember(d, off);
      lua_pop(d->L, 2);
      return;
    }
    lua_pop(d->L, 1);
  }
  ccp_dec_remember(d, off);
}

int ccp_dec_end_type(ccp_dec *d) {
  ccp_open *f = ccp_dec_top(d);
  int found = ccp_custom_learn(d->L, d->ctx, d->ctx_at);
  if (!found)
    ccp_dec_bad(d, "no registration");
  if (f->shared)
    ccp_dec_remember(d, f->off);
  f->meta = found == 2;
  f->in = CCP_IN_LATE;
  return ccp_dec_step_late(d);
}

void ccp_dec_after(ccp_dec *d) {
  ccp_open *f = ccp_dec_top(d);
  if (f->next++ == f->last)
    lua_replace(d->L, ccp_dec_at(d, f));
  else
    lua_pop(d->L, 1);
}

int ccp_dec_step_after(ccp_dec *d) {
  while (ccp_dec_top(d)->next <= ccp_dec_top(d)->last) {
    if (ccp_dec_value(d) != CCP_PUSHED)
      return 0;
    ccp_dec_after(d);
  }
  return 1;
}
