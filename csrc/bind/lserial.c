/*
** The inline executor's way of running: encode, decode, call, encode, decode,
** so that what works here works in a worker.
*/
#include "bind/lserial.h"

#include <string.h>

#include <lauxlib.h>

#include "bind/lfuture.h"
#include "os/codes.h"
#include "worker/vm_call.h"

typedef struct inline_run {
  ccp_caller caller;
  const ccp_item *item;
  int status;
} inline_run;

/* Stack: inline_run. */
static int protected_item(lua_State *L) {
  inline_run *r = lua_touserdata(L, 1);
  r->caller.fn = 0;
  r->status = ccp_caller_run(L, &r->caller, r->item);
  return 0;
}

static void run_item(lua_State *L, inline_run *r, const ccp_item *item,
                     ccp_pool_counts *counts) {
  int base = lua_gettop(L), status;
  luaL_checkstack(L, 4, NULL);
  r->item = item;
  lua_pushcfunction(L, ccp_caller_traceback);
  lua_pushcfunction(L, protected_item);
  lua_pushlightuserdata(L, r);
  status = lua_pcall(L, 1, 0, base + 1);
  if (status != LUA_OK)
    r->status = ccp_caller_failed(L, &r->caller, status);
  lua_settop(L, base);
  counts->submitted++;
  if (r->status == CCP_R_VALUES)
    counts->done++;
  else
    counts->failed++;
}

/* The reply buffer must not be lost when the last step raises. */
static int free_run(lua_State *L) {
  ccp_buf_fini(&((inline_run *)lua_touserdata(L, 1))->caller.out);
  return 0;
}

static inline_run *push_run(lua_State *L) {
  inline_run *r = lua_newuserdatauv(L, sizeof *r, 0);
  memset(r, 0, sizeof *r);
  ccp_buf_init(&r->caller.out);
  r->caller.codec = ccp_codec_of(L);
  if (luaL_newmetatable(L, "ccpool.inline_run")) {
    lua_pushcfunction(L, free_run);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return r;
}

void ccp_serial_call(lua_State *L, const void *body, size_t len, int future,
                     ccp_pool_counts *counts) {
  inline_run *r = push_run(L);
  ccp_item item = {NULL, 0, (const unsigned char *)body + 1, len - 1, 1};
  run_item(L, r, &item, counts);
  ccp_future_settle(L, future, (uint8_t)r->status, r->caller.out.data,
                    r->caller.out.len);
  ccp_buf_fini(&r->caller.out);
  lua_pop(L, 1);
}

static const unsigned char *part(const unsigned char *p, size_t *len) {
  uint32_t n;
  memcpy(&n, p, sizeof n);
  *len = n;
  return p + sizeof n;
}

void ccp_serial_chunk(lua_State *L, ccp_chunk *chunk, ccp_pool_counts *counts) {
  inline_run *r;
  ccp_item item = {0};
  chunk->task.final = 1; /* no pool knows it */
  r = push_run(L);
  item.fn = part(ccp_bytes_at(&chunk->task.body) + 1, &item.fn_len);
  item.args = item.fn;
  item.args_len = item.fn_len;
  item.first = 1;
  for (uint32_t i = 0; i < chunk->task.items; i++) {
    item.args = part(item.args + item.args_len, &item.args_len);
    run_item(L, r, &item, counts);
    if (ccp_chunk_add_reply(chunk, (uint8_t)r->status, r->caller.out.data,
                            r->caller.out.len, 0) != CCP_OK)
      chunk->task.status = CCP_R_MEMORY;
  }
  chunk->reading = chunk->replies;
  ccp_bytes_init(&chunk->replies);
  chunk->known = chunk->task.items;
  chunk->finished = 1;
  ccp_buf_fini(&r->caller.out);
  lua_pop(L, 1);
}
