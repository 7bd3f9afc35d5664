/*
** Running tasks inline, in the caller's own state, by value as the workers do.
*/
#ifndef CCP_BIND_LSERIAL_H
#define CCP_BIND_LSERIAL_H

#include <lua.h>

#include "pool/pool.h"
#include "pool/trace.h"
#include "task/histogram.h"
#include "task/rules.h"

/* What an executor's caller runs, and how. */
typedef struct ccp_inline {
  int64_t grace_ns;
  int off_record; /* nothing is counted now */
  ccp_pool_counts counts;
  ccp_histogram ran; /* each time that a call was run */
  ccp_trace *trace;  /* owned; NULL: none */
} ccp_inline;

/* Runs the call in 'body', whose functions are kept in funcs (may be NULL), and
** settles the future at that stack index. */
void ccp_serial_call(lua_State *L, const void *body, size_t len, int future,
                     const struct ccp_funcs *funcs, const ccp_rules *view,
                     ccp_inline *in);

/* Runs a task that was claimed from its pool and ends it there. Raises nothing,
** but if a hook of the state has raised around the task, returns 1 with that
** error on the top. */
int ccp_serial_run(lua_State *L, ccp_pool *pool, ccp_task *t);

/* Runs all items of a chunk; its replies are ready to be read then. Of the
** rules, both heed timeout, deadline and retries; NULL: there are none. 1 if
** the program was interrupted meanwhile, with that error on the top. */
int ccp_serial_chunk(lua_State *L, ccp_chunk *chunk, const ccp_rules *view,
                     ccp_inline *in);

#endif
