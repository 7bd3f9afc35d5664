/*
** Values whose metatable the program registered with its own save and load.
** Only the thread that runs the state may be here.
*/
#ifndef CCP_CODEC_CUSTOM_H
#define CCP_CODEC_CUSTOM_H

#include <stddef.h>

#include <lua.h>

#include "codec/context.h"

/* Stack: value. If its metatable is registered, pushes the entry and returns
** 1, else 0. */
int ccp_custom_find(lua_State *L, const ccp_ctx *ctx, int ctx_at);

/* Stack: value, entry. Replaces both by the name and an array of what save
** gave, with their number in *n: LUA_OK; or by save's error: its status. A
** memory error is raised. Runs user code. */
int ccp_custom_save(lua_State *L, int *n);

/* Pushes the load function of that name. Raises if there is none. */
void ccp_custom_push_load(lua_State *L, int ctx_at, const char *name,
                          size_t len);

/* Stack: array of n values, load. Replaces both by what load makes of them.
** Raises, runs user code. */
void ccp_custom_load(lua_State *L, int n);

#endif
