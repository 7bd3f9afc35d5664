/*
** What the codec keeps per Lua state; see context.h. The thread of the state.
*/
#include "codec/context.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "codec/codec.h"
#include "os/local.h"

enum {
  KEEP_FRAMES = 16 * 1024, /* bytes kept between messages */
  KEEP_TEXT = 64 * 1024
};

static const char context_key = 0; /* its address: the registry key */

/* How many contexts were ever closed, in any thread. A cached context is
** trusted only if none was closed since: its state may be gone, and another
** may have its addresses. Writer: context__gc, any thread; reader: any thread,
** which sees the closing of its own states in program order, so relaxed. */
static _Atomic uint64_t closed;

/* For the thread sanitizer: it takes the 16 bytes before a block of
** thread-local memory for a header of glibc's if the block lies 16 bytes into a
** page, and believes what it reads there. Aligned to 64, this library's block
** never lies so. */
#if defined(__SANITIZE_THREAD__)
#define ALIGNED _Alignas(64)
#else
#define ALIGNED
#endif

/* The last context used in this thread, by the address of its registry, which
** a live state shares with none. */
static CCP_LOCAL struct {
  ALIGNED const void *registry;
  ccp_ctx *ctx;
  uint64_t closed;
} here;

static int context__gc(lua_State *L) {
  ccp_ctx *ctx = lua_touserdata(L, 1);
  atomic_fetch_add_explicit(&closed, 1, memory_order_relaxed);
  free(ctx->maybe);
  ctx->maybe = NULL;
  ctx->names_built = 0;
  return 0;
}

static int scratch__gc(lua_State *L) {
  ccp_scratch *s = lua_touserdata(L, 1);
  ccp_buf_fini(&s->frames);
  ccp_buf_fini(&s->text);
  ccp_memo_fini(&s->seen);
  ccp_memo_fini(&s->cells);
  free(s->strs);
  s->strs = NULL;
  return 0;
}

/* Gives the userdata on the top a metatable with this __gc. */
static void set_gc(lua_State *L, const char *name, lua_CFunction gc) {
  if (luaL_newmetatable(L, name)) {
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
}

static ccp_ctx *find(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &context_key);
  ccp_ctx *ctx = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return ctx;
}

static ccp_ctx *make(lua_State *L) {
  luaL_checkstack(L, 8, "codec");
  ccp_ctx *ctx = lua_newuserdatauv(L, sizeof *ctx, CCP_UV_COUNT);
  memset(ctx, 0, sizeof *ctx);
  set_gc(L, "ccpool.codec.context", context__gc);
  for (int uv = CCP_UV_CUSTOM; uv <= CCP_UV_LOADED; uv++) {
    lua_newtable(L);
    lua_setiuservalue(L, -2, uv);
  }
  ccp_ctx_globals(L, ctx, lua_gettop(L));
  lua_rawsetp(L, LUA_REGISTRYINDEX, &context_key);
  return ctx;
}

static ccp_ctx *look_up(lua_State *L) {
  uint64_t now = atomic_load_explicit(&closed, memory_order_relaxed);
  ccp_ctx *ctx = find(L);
  if (ctx == NULL)
    ctx = make(L);
  here.registry = lua_topointer(L, LUA_REGISTRYINDEX);
  here.ctx = ctx;
  here.closed = now;
  return ctx;
}

ccp_ctx *ccp_ctx_get(lua_State *L) {
  if (here.registry == lua_topointer(L, LUA_REGISTRYINDEX) &&
      here.closed == atomic_load_explicit(&closed, memory_order_relaxed))
    return here.ctx;
  return look_up(L);
}

void ccp_ctx_push(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &context_key);
}

void ccp_ctx_globals(lua_State *L, ccp_ctx *ctx, int ctx_at) {
  lua_pushglobaltable(L);
  const void *globals = lua_topointer(L, -1);
  if (globals == ctx->globals) {
    lua_pop(L, 1);
    return;
  }
  lua_setiuservalue(L, ctx_at, CCP_UV_GLOBALS);
  ctx->globals = globals;
}

static ccp_scratch *new_scratch(lua_State *L) {
  ccp_scratch *s = lua_newuserdatauv(L, sizeof *s, 0);
  ccp_buf_init(&s->frames);
  ccp_buf_init(&s->text);
  ccp_memo_init(&s->seen);
  ccp_memo_init(&s->cells);
  s->strs = NULL;
  s->busy = 0;
  set_gc(L, "ccpool.codec.scratch", scratch__gc);
  return s;
}

ccp_scratch *ccp_scratch_take(lua_State *L, ccp_ctx *ctx, int ctx_at, int uv) {
  ccp_scratch **kept = uv == CCP_UV_ENC ? &ctx->enc : &ctx->dec;
  if (*kept != NULL && !(*kept)->busy) {
    lua_getiuservalue(L, ctx_at, uv);
  } else {
    /* The kept one is in use by a message around this one, which holds it on
    ** the stack, or was left by one that ended with an error. */
    ccp_scratch *s = new_scratch(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, ctx_at, uv);
    *kept = s;
  }
  (*kept)->busy = 1;
  return *kept;
}

void ccp_scratch_give(ccp_scratch *s) {
  ccp_buf_reset(&s->frames);
  ccp_buf_reset(&s->text);
  ccp_buf_trim(&s->frames, KEEP_FRAMES);
  ccp_buf_trim(&s->text, KEEP_TEXT);
  ccp_memo_clear(&s->seen);
  ccp_memo_clear(&s->cells);
  if (s->strs != NULL)
    ccp_strs_clear(s->strs, 1);
  s->busy = 0;
}

ccp_ctx *ccp_codec_peek(lua_State *L) {
  return find(L);
}

ccp_ctx *ccp_codec_of(lua_State *L) {
  return ccp_ctx_get(L);
}

int ccp_codec_cause(lua_State *L) {
  luaL_checkstack(L, 4, "codec");
  (void)ccp_ctx_get(L);
  ccp_ctx_push(L);
  int found = lua_getiuservalue(L, -1, CCP_UV_CAUSE) != LUA_TNIL;
  lua_pushnil(L);
  lua_setiuservalue(L, -3, CCP_UV_CAUSE);
  lua_remove(L, -2);
  if (!found)
    lua_pop(L, 1);
  return found;
}

void ccp_codec_counts(lua_State *L, uint64_t *dumps, uint64_t *loads) {
  const ccp_ctx *ctx = ccp_ctx_get(L);
  *dumps = ctx->dumps;
  *loads = ctx->loads;
}

int ccp_codec_saving(const ccp_ctx *ctx) {
  return ctx->saving_as;
}

int ccp_codec_saves_for_elsewhere(lua_State *L) {
  const ccp_funcs *fs = ccp_ctx_get(L)->saving_for;
  return fs && fs->elsewhere;
}
