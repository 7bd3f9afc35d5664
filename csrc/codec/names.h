/*
** Named objects: what can be found in package.loaded travels as its name and is
** required on the other side. A name is "module" followed by steps, each '\0'
** and either '.' and a key or '@' for the metatable.
**
** Named are: modules; their functions, tables, userdata; the functions, classes
** and metatables one level below. Not named are the globals' own (their Lua
** functions and tables were made by the main script, which no worker runs; of
** them only the base library counts) and Lua values put into the standard
** libraries. Only the thread that runs the state may be here.
*/
#ifndef CCP_CODEC_NAMES_H
#define CCP_CODEC_NAMES_H

#include <stddef.h>

#include <lua.h>

#include "codec/context.h"

/* Builds the index, or builds it anew if package.loaded has changed since or
** `anyway`. May raise memory errors. CCP_OK if there was no need, CCP_NAMES_NEW
** or CCP_E_NOMEM. */
enum { CCP_NAMES_NEW = 1 };
int ccp_names_refresh(lua_State *L, ccp_ctx *ctx, int ctx_at, int anyway);

/* May the object at that address have a name? If not, it has none. */
static inline int ccp_names_maybe(const ccp_ctx *ctx, const void *p) {
  size_t h =
      (size_t)((uint64_t)(uintptr_t)p * UINT64_C(0x9e3779b97f4a7c15) >> 24) &
      ctx->maybe_mask;
  return ctx->maybe[h >> 3] >> (h & 7) & 1;
}

/* Pushes the name of the value on the top and returns 1, or returns 0. */
int ccp_names_find(lua_State *L, int ctx_at);

/* The object on the top was found by that name, perhaps in a module that was
** loaded for it: the index, if there is one, knows it from now on, and what
** lies beside it. May raise memory errors. */
void ccp_names_note(lua_State *L, ccp_ctx *ctx, int ctx_at, const char *name,
                    size_t len);

/* Is it a library whose Lua functions and tables have no names? */
int ccp_names_is_standard(const char *module);

/* Can a new state require the module of the name on the top? It has the paths
** of now, and no preloads, or those in the table at `preloads`, if that is not
** 0. Looks at the disk. */
int ccp_names_is_early(lua_State *L, int preloads);

/* Pushes the object of that name, which may require a module. Raises an error
** that says what is missing. */
void ccp_names_resolve(lua_State *L, const char *name, size_t len);

/* Pushes the callable of "module.function": the longest dotted prefix that is a
** module, and fields. Raises "cannot resolve '...': ...". */
void ccp_names_resolve_call(lua_State *L, const char *name, size_t len);

#endif
