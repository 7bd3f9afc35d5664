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

/* Raises the NotSendableError of a thing that came to another process than it
** belongs to. */
int ccp_error_raise_unsendable(lua_State *L, const char *what);

/* Is what runs at that level, as lua_getstack gave it, a hook? */
int ccp_error_is_hook(lua_State *L, lua_Debug *ar);

/* Replaces the error value on top by the BrokenExecutorError it caused. */
void ccp_error_broken(lua_State *L);

/* Pushes error value and traceback (or nil) of a reply that is no
** CCP_R_VALUES. May raise: what the error value refers to may be missing. */
void ccp_error_of_reply(lua_State *L, uint8_t status, const void *bytes,
                        size_t len);

#endif
