/*
** Where the Lua state of a thread begins: one block, which needs no malloc, so
** that a thread that starts takes no lock, makes no arena of malloc's, and
** touches few pages. What does not fit lies in pages of its own if it is small,
** and goes to malloc if it is not.
*/
#ifndef CCP_WORKER_VM_NEST_H
#define CCP_WORKER_VM_NEST_H

#include <stddef.h>

#include "worker/vm_pages.h"

struct lua_State;

#if defined(CCP_MALLOC_ONLY)
#define CCP_NEST_BYTES 64
#else
#define CCP_NEST_BYTES (32 << 10) /* libraries and a little more */
#endif

enum { CCP_NEST_STEP = 16, CCP_NEST_SIZES = 16 };

typedef struct ccp_nest {
  size_t used; /* bytes of the block */
  /* given back, by size: each holds the address of the next */
  unsigned char *spare[CCP_NEST_SIZES + 1];
  unsigned char *hole; /* a large one that was given back, or its rest */
  size_t hole_bytes;
  ccp_pages pages;
  _Alignas(CCP_NEST_STEP) unsigned char block[CCP_NEST_BYTES];
} ccp_nest;

/* A new state, without libraries, that lives in the nest, which must stay in
** place until the state is closed. NULL: no memory. */
struct lua_State *ccp_nest_open(ccp_nest *n);

/* Closes the state and frees what it lived in. */
void ccp_nest_close(ccp_nest *n, struct lua_State *L);

#endif
