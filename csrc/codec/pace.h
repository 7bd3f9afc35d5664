/*
** When a state's collector goes on. The thread of the state.
*/
#ifndef CCP_CODEC_PACE_H
#define CCP_CODEC_PACE_H

#include <lua.h>

/* So much may be allocated before the collector goes on; less than nothing: it
** is that much nearer, and it goes on at once if it is due. Lua 5.5 knows
** steps, but no credit: there the collector goes on as it stands. */
static inline void ccp_gc_credit(lua_State *L, int kb) {
#if LUA_VERSION_NUM < 505
  (void)lua_gc(L, LUA_GCSTEP, -kb);
#else
  (void)L;
  (void)kb;
#endif
}

#endif
