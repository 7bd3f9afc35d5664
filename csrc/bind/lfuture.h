/*
** Futures, for the files of this folder.
*/
#ifndef CCP_BIND_LFUTURE_H
#define CCP_BIND_LFUTURE_H

#include "bind/lclient.h"

/* Registers the class; pushes its metatable and the table of its methods. */
void ccp_future_class(lua_State *L);

/* Pushes a new future with the metatable at index 'class_'. t NULL: it waits
** for ccp_future_settle; else for t, whose owner it becomes. */
void *ccp_future_new(lua_State *L, int class_, ccp_handle *h, ccp_task *t);

/* What the call that was just encoded was lent is kept until the future on the
** top is delivered. */
void ccp_future_lend(lua_State *L, ccp_client *c, int draft);

/* Ends a future that has no task: reply as of a worker. */
void ccp_future_settle(lua_State *L, int index, uint8_t status,
                       const void *bytes, size_t len);
/* This thread itself ran its task; after so many attempts that were too slow.
 */
void ccp_future_ran_here(lua_State *L, int index, uint32_t timeouts);

/* Sets the function (on top; popped) that hears of errors in callbacks:
** report(error, future). */
void ccp_future_set_reporter(lua_State *L);

/* Sets the function (on top; popped) that hears of errors that nobody looked
** at: report(error, traceback). */
void ccp_future_set_unheard(lua_State *L);
/* look(future): its error, now or later, is somebody's. */
int ccp_future_look(lua_State *L);

/* failed(future) -> it is finished, with an error; is_future(value). */
int ccp_future_failed(lua_State *L);
int ccp_future_is(lua_State *L);

/* watch(future, queue): appends the future to the array once it is done; false
** if it is known to be done. It does not look for what came in: of two futures
** watched one after the other, the second must not pass for done before the
** first. */
int ccp_future_watch(lua_State *L);

/* For event loops; lfuture_watch.c says what they do. */
int ccp_future_loop_fd(lua_State *L);
int ccp_future_loop_ring(lua_State *L);
int ccp_future_loop_quiet(lua_State *L);
int ccp_future_loop_await(lua_State *L);

#endif
