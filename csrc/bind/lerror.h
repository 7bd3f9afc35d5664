/*
** Error objects: the one place that turns result codes and reply statuses
** into what Lua code sees.
*/
#ifndef CCP_BIND_LERROR_H
#define CCP_BIND_LERROR_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

/* Sets the function (on top of the stack; popped) that makes error objects:
** make(kind, message, fields). */
void ccp_error_set_maker(lua_State *L);

/* Pushes an error object of that kind. The table of further fields is on top
** of the stack (nil for none) and is replaced. */
void ccp_error_make(lua_State *L, const char *kind, const char *message);

/* Raises the error of a result code below 0. 'what' says what failed; for
** CCP_E_NOTSENDABLE the path is on top of the stack. */
int ccp_error_raise(lua_State *L, int code, const char *what);

/* Pushes error value and traceback (or nil) of a reply that is no
** CCP_R_VALUES. In protected mode if 'status' is CCP_R_ERROR or CCP_R_BROKEN,
** since decoding may raise. pool_name: for messages. */
void ccp_error_of_reply(lua_State *L, uint8_t status, const void *bytes,
                        size_t len);

#endif
