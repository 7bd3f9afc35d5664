/*
** The C module, "ccpool.core".
*/
#ifndef CCP_BIND_LCORE_H
#define CCP_BIND_LCORE_H

#include <lua.h>

#if defined(__GNUC__)
#define CCP_EXPORT __attribute__((visibility("default")))
#else
#define CCP_EXPORT
#endif

CCP_EXPORT int luaopen_ccpool_core(lua_State *L);

#endif
