/*
** What the tests of the codec share: a store of functions, an allocator that
** counts and fails on demand, and Lua states with functions that encode in one
** and decode in another. One thread.
*/
#ifndef CODEC_KIT_H
#define CODEC_KIT_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "codec/codec.h"

/* Counts what a Lua state allocates. */
typedef struct kit_mem {
  size_t used, peak; /* bytes */
  long calls;        /* allocations so far */
  long fail_at;      /* the allocation with this number fails; 0: none */
  size_t limit;      /* bytes in use at most; 0: no limit */
} kit_mem;

/* True while a Lua state asks the C library for memory. */
extern int kit_allocating;

void *kit_alloc(void *mem, void *p, size_t old_size, size_t new_size);

/* A store of dumps; every kit has one. */
typedef struct kit_store {
  struct {
    void *dump;
    size_t len;
  } kept[64];
  uint64_t count;
  uint64_t max; /* CCP_E_FULL from here on */
} kit_store;

/* Two states, `here` and `there`. Both have in their globals:
**   pack(...)       bytes of a message, or raises the path
**   pack_call(...)  the same with ccp_encode_call
**   unpack(bytes)   its values
** and `here` moreover
**   send(...)       there: unpack(here: pack(...)); gives nothing back
**   there(code, ...) runs code there with the arguments; its results
**   echo(...)       the arguments, from here to there and back
**   refused(...)    the path of NotSendable, or nil
*/
typedef struct kit {
  lua_State *here, *there;
  kit_mem here_mem, there_mem;
  kit_store store;
  ccp_funcs funcs;
  const ccp_funcs *in_use; /* &funcs, or NULL: functions go inline */
  ccp_what what;
  ccp_buf buf;
} kit;

/* Makes the states; exits if it cannot. */
void kit_init(kit *k);
void kit_fini(kit *k);

#endif
