/*
** Large strings into Lua. The thread of the state, in protected mode.
*/
#ifndef CCP_CODEC_LARGE_H
#define CCP_CODEC_LARGE_H

#include <stddef.h>

#include <lua.h>

enum { CCP_LARGE = 4 << 20 }; /* bytes: from there on it is worth its cost */

/* As lua_pushlstring, but the string's memory is first touched in huge pages,
** where the system has them: small ones cost several times the copying. Needs
** 3 free slots. */
void ccp_large_push(lua_State *L, const void *s, size_t len);

static inline void ccp_push_bytes(lua_State *L, const void *s, size_t len) {
  if (len < CCP_LARGE)
    lua_pushlstring(L, s, len);
  else
    ccp_large_push(L, s, len);
}

#endif
