/*
** Prime numbers, for ccpool.math and the command line.
*/
#ifndef CCP_BIND_LMATH_H
#define CCP_BIND_LMATH_H

#include <lua.h>

/* Adds the functions to the table on top of the stack. */
void ccp_math_functions(lua_State *L);

#endif
