/*
** Values whose metatable the program registered with its own save and load.
** A registration is a table, the entry. Which of them the other side knows is
** asked per store of functions, since a store stands for the workers of a pool.
** Only the thread that runs the state may be here.
*/
#ifndef CCP_CODEC_CUSTOM_H
#define CCP_CODEC_CUSTOM_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "codec/codec.h"
#include "codec/context.h"

/* Fields of an entry. The first three are what travels of it. */
enum {
  CCP_E_METATABLE = 1,
  CCP_E_SAVE,
  CCP_E_LOAD,
  CCP_E_NAME,
  CCP_E_MODULE, /* that registers it when it is required; or false */
  CCP_E_NUMBER, /* counts registrations: a later one replaces an earlier */
  CCP_E_KNOWN,  /* who made this state knows it */
  CCP_E_COPIES, /* it can be sent to a state that knows nothing of it */
  CCP_E_OPAQUE, /* its metatable cannot: it is that of what `load` gives */
  CCP_E_PARTS = CCP_E_LOAD
};

/* Stack: value. If its metatable is registered, pushes the entry and returns
** 1, else 0. */
int ccp_custom_find(lua_State *L, const ccp_ctx *ctx, int ctx_at);

/* May the table at that address be a registered metatable? If not, it is
** none. */
static inline unsigned ccp_custom_bit(const void *p) {
  return (unsigned)((uint64_t)(uintptr_t)p * UINT64_C(0x9e3779b97f4a7c15) >>
                    24) %
         (64 * CCP_TYPE_WORDS);
}
static inline void ccp_custom_note(ccp_ctx *ctx, const void *p) {
  unsigned bit = ccp_custom_bit(p);
  ctx->types[bit / 64] |= UINT64_C(1) << (bit % 64);
}
static inline int ccp_custom_maybe(const ccp_ctx *ctx, const void *p) {
  unsigned bit = ccp_custom_bit(p);
  return ctx->types[bit / 64] >> (bit % 64) & 1;
}

/* Stack: table. If it is a registered metatable, pushes the entry and returns
** 1, else 0. */
int ccp_custom_of(lua_State *L, const ccp_ctx *ctx, int ctx_at);

/* Stack: entry. Is that field of it set? */
int ccp_custom_has(lua_State *L, int field);

/* Stack: entry. May it be sent by its name alone? */
int ccp_custom_is_known(lua_State *L, const ccp_ctx *ctx, int ctx_at,
                        const ccp_funcs *fs);

/* Stack: value, entry. Replaces both by an array of the entry and what save
** gave, with their number in *n: LUA_OK; or by save's error: its status. A
** memory error is raised. Runs user code. */
int ccp_custom_save(lua_State *L, int *n);

/* Pushes the metatable of a type: "name" or "name\0module", which is required
** if the name is unknown. If its metatable is not known yet, pushes its name.
** Raises if there is none. */
void ccp_custom_push_type(lua_State *L, int ctx_at, const char *text,
                          size_t len);

/* Stack: array of the three parts of an entry, its name, its number. Replaces
** it as ccp_custom_push_type would push it: from this entry, which is
** registered if it is
** new or newer: returns 2. Returns 1 if it is not, and 0 with nothing changed
** if it is no entry. */
int ccp_custom_learn(lua_State *L, ccp_ctx *ctx, int ctx_at);

/* Stack: such an array, without the parts yet. Pushes the metatable of the type
** if it is known here, and would not be replaced; returns 0 if not. */
int ccp_custom_push_known(lua_State *L, const ccp_ctx *ctx, int ctx_at);

/* Stack: array of n values, the first what stands for a type. Replaces it by
** what load makes of the others. Raises, runs user code. */
void ccp_custom_load(lua_State *L, ccp_ctx *ctx, int ctx_at, int n);

#endif
