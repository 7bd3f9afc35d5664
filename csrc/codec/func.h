/*
** Lua functions as bytecode: dumped once per store on the way out, loaded once
** per state on the way in where that is invisible. A dump travels sealed by a
** hash, because no bytecode may be loaded that Lua itself did not write.
** Only the thread that runs the state may be here.
*/
#ifndef CCP_CODEC_FUNC_H
#define CCP_CODEC_FUNC_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "codec/codec.h"
#include "codec/context.h"

/* The way of a function address among the recently sent. */
static inline ccp_sent *ccp_func_way(ccp_ctx *ctx, const void *fn) {
  uint64_t h = (uint64_t)(uintptr_t)fn * UINT64_C(0x9e3779b97f4a7c15);
  return &ctx->sent[(h >> 40) % CCP_FUNC_WAYS];
}

/* Is upvalue 1 of the function at idx the globals now? */
int ccp_func_env_is_globals(lua_State *L, const ccp_ctx *ctx, int idx);

/* Was the Lua function on the top sent to that store before? Then 1 and *out.
** It had no name at that time. */
int ccp_func_find(lua_State *L, ccp_ctx *ctx, int ctx_at, const ccp_funcs *fs,
                  ccp_sent *out);

/* Makes what stands for the Lua function on the top. CCP_OK: out->id, in that
** store; CCP_E_FULL: the sealed dump in `text`; else an error code. out->nups
** and out->env are set on both. */
int ccp_func_send(lua_State *L, ccp_ctx *ctx, int ctx_at, const ccp_funcs *fs,
                  ccp_buf *text, ccp_sent *out);

/* Pushes the function kept under id. If `plain`, it has at most one upvalue,
** set to the globals, and may be one that was pushed before. Raises. */
void ccp_func_fetch(lua_State *L, ccp_ctx *ctx, const ccp_funcs *fs,
                    uint64_t id, int plain);

/* Pushes a new function made from a sealed dump. Raises. */
void ccp_func_load(lua_State *L, ccp_ctx *ctx, const void *sealed, size_t len);

/* How many upvalues the Lua function on the top has. */
int ccp_func_nups(lua_State *L);

#endif
