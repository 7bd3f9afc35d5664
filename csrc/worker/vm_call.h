/*
** Calling one item: decode, call, encode. Shared by the workers and by the
** executor that runs its tasks inline.
*/
#ifndef CCP_WORKER_VM_CALL_H
#define CCP_WORKER_VM_CALL_H

#include <lua.h>

#include "codec/codec.h"
#include "worker/loop.h"

/* State of a series of calls in one Lua state. */
typedef struct ccp_caller {
  ccp_buf out;                   /* the encoded reply */
  const struct ccp_funcs *funcs; /* where the calls' functions are kept */
  ccp_ctx *codec;                /* borrowed: of the state */
  int fn;                        /* stack index of a chunk's function, or 0 */
  int fn_fresh;                  /* it must be decoded anew for every item */
} ccp_caller;

/* Runs one item and leaves its reply in c->out; returns the status. Raises
** the task's error. In protected mode only, with ccp_caller_traceback as the
** message handler. The stack grows by the chunk's function at most. */
int ccp_caller_run(lua_State *L, ccp_caller *c, const ccp_item *item);

/* Message handler: keeps the traceback for ccp_caller_failed and returns the
** error value as it is. */
int ccp_caller_traceback(lua_State *L);

/* After lua_pcall gave 'status' with the error value on top: pops it, leaves
** the reply in c->out and returns its status. Never raises. */
int ccp_caller_failed(lua_State *L, ccp_caller *c, int status);

#endif
