/*
** What the workers of one pool have in common. The pool fills it in before it
** starts the first worker; from then on nobody writes it. A process worker has
** its own copy, by fork.
*/
#ifndef CCP_WORKER_PLAN_H
#define CCP_WORKER_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "task/board.h"

struct ccp_funcs;
struct lua_State;

typedef struct ccp_plan {
  ccp_board *board;
  int is_process;
  char *name;             /* of the pool; worker i is NAME_i; owned */
  char *path, *cpath;     /* package.path and cpath for threads; owned */
  unsigned char *prelude; /* messages: see vm_prepare.c; owned, NULL for none */
  size_t prelude_len;
  unsigned char *finalizer; /* message: the function; owned, NULL for none */
  size_t finalizer_len;
  int64_t grace_ns;    /* between asking a task to stop and giving it up */
  size_t memory_limit; /* bytes that a worker may use, or 0 */
  int (*open_core)(struct lua_State *L); /* luaopen_ccpool_core */
  void (*finish)(struct lua_State *L);   /* ends what its own pools still do */
  const struct ccp_funcs *funcs;
  struct ccp_pool *pool; /* borrowed: for who waits in a worker thread */
} ccp_plan;

#endif
