/*
** An encoding on its way, as encode.c and path.c see it. On the Lua stack, from
** `top`: the context, the scratch memory, the spill table, the table of what
** must stay alive (each nil until needed), then two slots for each open frame:
** the container and the key at hand. The value at hand lies above. Only the
** outermost frames have slots of their own: deeper ones take turns in the last
** two, and the spill table holds what their parents had there.
*/
#ifndef CCP_CODEC_ENCODE_H
#define CCP_CODEC_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "codec/codec.h"
#include "codec/context.h"
#include "codec/wire.h"

/* What a frame does next, or what its open child is. */
enum {
  CCP_AT_ITEM, /* array items */
  CCP_AT_KEY,
  CCP_AT_VALUE,
  CCP_AT_METATABLE,
  CCP_AT_UPVALUE,
  CCP_AT_SAVED,
  CCP_AT_TYPE, /* parts of a registration */
  CCP_AT_AFTER /* a value that comes after its type */
};

typedef struct ccp_frame {
  unsigned char at;   /* CCP_AT_* */
  unsigned char meta; /* a metatable follows */
  size_t off;         /* of its tag, in the buffer */
  uint64_t next;      /* array index, upvalue or saved value at hand */
  uint64_t count;     /* array items announced, upvalues or saved values */
  uint64_t pairs;     /* written so far */
  const void *obj;    /* borrowed: what is being saved, the entry, the table */
} ccp_frame;

typedef struct ccp_enc {
  lua_State *L;
  ccp_ctx *ctx;
  ccp_scratch *s; /* borrowed; NULL until a value needs it */
  ccp_buf *b;
  const ccp_funcs *fs;
  ccp_what what;
  size_t start; /* where the message begins in b */
  int top;      /* of the stack, at the call */
  int value;    /* number of the value at hand, from 0 */
  int named;    /* the index of names is fresh */
  int looked;   /* objects were looked for in it */
  size_t depth; /* open frames */
  int types;    /* of them, types whose values are late */
} ccp_enc;

enum { CCP_ENC_LEVELS = 40 };

/* Nils between array items that are written rather than ending those. */
enum { CCP_GAP_MAX = 4 };

/* Stack slots of an encoding. */
static inline int ccp_enc_ctx(const ccp_enc *e) {
  return e->top + 1;
}
static inline int ccp_enc_spill(const ccp_enc *e) {
  return e->top + 3;
}
static inline int ccp_enc_alive(const ccp_enc *e) {
  return e->top + 4;
}
static inline int ccp_enc_slot(const ccp_enc *e, size_t level) {
  size_t l = level < CCP_ENC_LEVELS ? level : CCP_ENC_LEVELS - 1;
  return e->top + 5 + (int)(2 * l);
}

/* The open frame at that level. */
static inline ccp_frame *ccp_enc_frame(const ccp_enc *e, size_t level) {
  void *frames = e->s->frames.data;
  return (ccp_frame *)frames + level;
}

static inline ccp_frame *ccp_enc_top(const ccp_enc *e) {
  return ccp_enc_frame(e, e->depth - 1);
}

/* How far the message has come: the offset of what is written next. */
static inline size_t ccp_enc_offset(const ccp_enc *e) {
  return e->b->len - e->start;
}

/* The definition at that offset is referred to: the decoder must keep it. */
static inline void ccp_enc_share(ccp_enc *e, uint64_t off) {
  e->b->data[e->start + off] |= CCP_T_SHARED;
}

/* In the memo: the value waits for its type. No offset is that large. */
#define CCP_LATE (((uint64_t)1 << 48) - 1)

/* What became of a value on the top: popped and written; open as a frame; or
** still there, because it has no name. Errors are negative. */
enum { CCP_WRITTEN = 0, CCP_OPENED = 1, CCP_NAMELESS = 2 };

/* A result like an error code: the message must be written again from its
** first object, since names have changed, at most once per message, or since a
** type must stand before the values. */
enum { CCP_STALE = -1000 };

/* Writes the value on the top and pops it, or opens it as a frame. */
int ccp_enc_put(ccp_enc *e);

/* Writes the value at idx, of that type, and leaves it: CCP_WRITTEN; or
** CCP_NAMELESS if it is no scalar and nothing was written. */
int ccp_enc_scalar(ccp_enc *e, int idx, int type);

/* encode_object.c: as ccp_enc_put, for a value of that type which is no
** scalar; and the next saved values of the innermost frame. */
int ccp_enc_put_object(ccp_enc *e, int type);
int ccp_enc_step_saved(ccp_enc *e);

/* The value on the top cannot travel: its path becomes the result. `why` as for
** ccp_path_push. */
int ccp_enc_refuse(ccp_enc *e, const char *why);

/* The same for what its `save` raised, which is on the top: it is kept as the
** cause. */
int ccp_enc_refuse_saved(ccp_enc *e);

/* The object on the top was found in the memo. */
int ccp_enc_put_ref(ccp_enc *e, uint64_t word);

/* Writes the object on the top by name: CCP_WRITTEN or CCP_NAMELESS. */
int ccp_enc_put_name(ccp_enc *e, const void *p, int plain);

/* encode_type.c: what is registered. Writes or opens the type whose entry is on
** the top; opens the value below its entry; the next parts of the innermost
** frame, a type. */
int ccp_enc_put_type(ccp_enc *e);
int ccp_enc_open_saved(ccp_enc *e, const void *p, size_t off);
int ccp_enc_step_type(ccp_enc *e);
int ccp_enc_step_after(ccp_enc *e);

/* Writes type number i of those that must stand before the values: as
** ccp_enc_put, or CCP_NAMELESS if there are no more. And for a message that is
** written again: forgets what it held but these. */
int ccp_enc_next_type(ccp_enc *e, int i);
void ccp_enc_forget(ccp_enc *e);

/* The container of the frame at level e->depth, on the top, takes its slots. */
void ccp_enc_take_slots(ccp_enc *e);

/* Opens a frame at that level, without slots. */
int ccp_enc_push_frame(ccp_enc *e, size_t level, int at, size_t off,
                       uint64_t count, const void *obj);

/* Opens the value on the top, whose tag stands at `off`. */
int ccp_enc_open(ccp_enc *e, int at, size_t off, uint64_t count);

/* Holds the value on the top until the message ends; pops it. */
void ccp_enc_keep(ccp_enc *e);

/* Makes ready what knows the strings sent so far. */
int ccp_enc_strings(ccp_enc *e);

/* Writes the string at idx, inside a table; `hot` for keys. The same for the
** short string of these bytes; p is what lua_topointer says of it. */
int ccp_enc_new_string(ccp_enc *e, int idx, int hot);
int ccp_enc_put_text(ccp_enc *e, const void *p, const char *s, size_t len,
                     int hot);

/* encode_table.c: opens the table on the top; goes on with the open one until
** a child opens or it ends (CCP_WRITTEN). Its tag, and what ends its pairs. */
int ccp_enc_open_table(ccp_enc *e, size_t off, int meta);
int ccp_enc_step_table(ccp_enc *e);
int ccp_enc_table_tag(ccp_enc *e, uint64_t narr, int meta);
int ccp_enc_end_pairs(ccp_enc *e, const ccp_frame *f);

/* encode_plain.c: goes on with the innermost frame and the tables in it as far
** as they are data: to its end (CCP_WRITTEN), or to what is more. Then the
** innermost frame is the one around that: CCP_NAMELESS: it is the value of the
** key at hand, which is written; CCP_ODD_KEY: it is the key behind that one. */
int ccp_enc_put_plain(ccp_enc *e);
enum { CCP_ODD_KEY = 3 };

/* encode_func.c: the same for the Lua function on the top; its bytecode is
** kept under sent->id, or lies in the scratch memory's text. */
int ccp_enc_open_function(ccp_enc *e, size_t off, const ccp_sent *sent,
                          int kept);
int ccp_enc_step_function(ccp_enc *e);

/* Pushes the path to the value on the top, which cannot travel, with what it
** is; `why` (may be NULL) is said instead of its type. May raise. */
void ccp_path_push(ccp_enc *e, const char *why);

#endif
