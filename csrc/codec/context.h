/*
** What the codec keeps per Lua state: caches of functions, the names of
** objects, registered types, and scratch memory lent to one message at a time.
** It is a userdata in the registry; its user values hold what must stay alive.
** Only the thread that runs the state may be here.
*/
#ifndef CCP_CODEC_CONTEXT_H
#define CCP_CODEC_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "codec/buf.h"
#include "codec/funcs.h"
#include "codec/memo.h"

/* User values of the context. */
enum {
  CCP_UV_GLOBALS = 1, /* anchors `globals` */
  CCP_UV_NAMES,       /* object -> name, weak keys: names.c */
  CCP_UV_CUSTOM,      /* metatable -> entry, name -> entry: custom.c */
  CCP_UV_SENT,        /* store uid -> { function -> id }: func.c */
  CCP_UV_RECENT,      /* anchors the functions of `sent`: func.c */
  CCP_UV_LOADED,      /* id -> function: func.c */
  CCP_UV_ENC,         /* anchors `enc` */
  CCP_UV_DEC,         /* anchors `dec` */
  CCP_UV_CAUSE,       /* what a `save` raised: see ccp_codec_cause */
  CCP_UV_PRELOADS,    /* what a new state will have: see ccp_codec_types */
  CCP_UV_COUNT = CCP_UV_PRELOADS
};

enum { CCP_FUNC_WAYS = 8 }; /* functions found without a table */
enum { CCP_TYPE_WORDS = 16 };

/* A function that was sent not long ago. */
typedef struct ccp_sent {
  const void *fn; /* borrowed from CCP_UV_RECENT */
  uint64_t uid, id;
  int nups;
  int env; /* its only upvalue is named _ENV */
} ccp_sent;

/* A function that was decoded not long ago: registry[ref] holds it. */
typedef struct ccp_got {
  uint64_t id;
  int ref; /* 0: never used; kept from then on */
  int env; /* it has an upvalue, which is the globals */
} ccp_got;

/* Memory of one message on its way; owned by a userdata, see ccp_scratch. */
typedef struct ccp_scratch {
  int busy;       /* a message uses it, or died with an error */
  ccp_buf frames; /* what is open: encode.c, decode.c */
  ccp_buf text;   /* dumps, paths */
  ccp_memo seen;  /* encode: object -> offset of its definition */
  ccp_memo cells; /* encode: upvalue -> function and number */
  ccp_strs *strs; /* encode; owned, NULL until a table holds a string */
} ccp_scratch;

typedef struct ccp_ctx {
  const void *globals; /* borrowed: CCP_UV_GLOBALS */
  ccp_sent sent[CCP_FUNC_WAYS];
  ccp_got got[CCP_FUNC_WAYS];
  const ccp_funcs *saving_for;  /* borrowed: while a save function runs */
  int saving_as;                /* the same: its message's `purpose` */
  uint64_t sent_count;          /* ids kept in CCP_UV_SENT */
  uint64_t loaded_count;        /* functions kept in CCP_UV_LOADED */
  uint64_t dumps, loads;        /* of functions, ever */
  ccp_scratch *enc;             /* borrowed: CCP_UV_ENC */
  ccp_scratch *dec;             /* borrowed: CCP_UV_DEC */
  lua_Integer custom_count;     /* registrations so far */
  lua_Integer custom_inherited; /* of them, before this state was a worker's */
  uint64_t types[CCP_TYPE_WORDS]; /* bit set if a metatable may be registered */
  int later_kb;                   /* the last data took: see ccp_codec_settle */
  int is_worker;
  int names_built;
  uint64_t names_print; /* fingerprint of package.loaded when built */
  unsigned char *maybe; /* owned: bit set if an address may have a name */
  size_t maybe_mask;    /* its bits, less 1 */
} ccp_ctx;

/* The context of this state, made if need be (may raise memory errors). */
ccp_ctx *ccp_ctx_get(lua_State *L);

/* Pushes the context's userdata, which must exist. */
void ccp_ctx_push(lua_State *L);

/* Pushes scratch memory for one message and marks it busy: the kept one of
** that user value, or new memory when a message around this one has that.
** `ctx_at` is the stack index of the context. May raise memory errors. */
ccp_scratch *ccp_scratch_take(lua_State *L, ccp_ctx *ctx, int ctx_at, int uv);

/* The message has ended; its memory may serve the next. */
void ccp_scratch_give(ccp_scratch *s);

/* Reads the state's globals table anew into ctx->globals. */
void ccp_ctx_globals(lua_State *L, ccp_ctx *ctx, int ctx_at);

#endif
