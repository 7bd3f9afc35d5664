/*
** A decoding on its way, as decode.c and decode_frame.c see it. On the Lua
** stack, from `base`: the message's values; then the context, the scratch
** memory, the spill table and the memo (each nil until needed); then the string
** slots; then the open frames, each its container and, while a value is read
** for it, a key. Frames beyond CCP_DEC_LEVELS take turns in one place, and the
** spill table holds what their parents had there.
*/
#ifndef CCP_CODEC_DECODE_H
#define CCP_CODEC_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "codec/codec.h"
#include "codec/context.h"

/* What the next value of a frame is. */
enum {
  CCP_IN_ITEM,
  CCP_IN_KEY,
  CCP_IN_VALUE,
  CCP_IN_METATABLE,
  CCP_IN_UPVALUE,
  CCP_IN_SAVED,
  CCP_IN_TYPE,
  CCP_IN_LATE, /* after the parts of a type: see wire.h */
  CCP_IN_AFTER
};

typedef struct ccp_open {
  uint8_t in;     /* CCP_IN_* */
  uint8_t meta;   /* a metatable follows; of a type: it was new here */
  uint8_t shared; /* a saved value that others refer to once it is loaded */
  int slot;       /* of its container, counted from the first frame's */
  uint64_t next;  /* array index, upvalue or saved value to come */
  uint64_t last;  /* the last of them */
  uint64_t off;   /* of its tag */
} ccp_open;

typedef struct ccp_dec {
  lua_State *L;
  ccp_ctx *ctx;
  ccp_scratch *s; /* borrowed; NULL until a value needs it */
  const ccp_funcs *fs;
  const unsigned char *start, *p, *end;
  size_t budget;    /* elements that may still be allocated ahead */
  uint64_t defined; /* strings that took a slot */
  int ctx_at;       /* stack index of the context */
  int slots;        /* string slots on the stack */
  size_t depth;     /* open frames */
  int lent_kb;      /* above 0: the collector rests, see decode.c */
  int heap_kb;      /* what there was when it began to */
} ccp_dec;

enum { CCP_DEC_LEVELS = 40 };

/* What reading a value came to. */
enum { CCP_OPENED_FRAME = 0, CCP_PUSHED = 1 };

static inline int ccp_dec_spill(const ccp_dec *d) {
  return d->ctx_at + 2;
}
static inline int ccp_dec_memo(const ccp_dec *d) {
  return d->ctx_at + 3;
}
static inline int ccp_dec_string(const ccp_dec *d, int slot) {
  return d->ctx_at + 4 + slot;
}
/* The stack index of a frame's container; string slots may move it. */
static inline int ccp_dec_at(const ccp_dec *d, const ccp_open *f) {
  return d->ctx_at + 4 + d->slots + f->slot;
}
static inline ccp_open *ccp_dec_top(const ccp_dec *d) {
  void *frames = d->s->frames.data;
  return (ccp_open *)frames + (d->depth - 1);
}

/* Raises "malformed message: why". */
_Noreturn void ccp_dec_bad(ccp_dec *d, const char *why);

/* The next byte, number or run of bytes; all raise if the input ends. */
static inline unsigned ccp_dec_byte(ccp_dec *d) {
  if (d->p == d->end)
    ccp_dec_bad(d, "truncated");
  return *d->p++;
}
static inline const unsigned char *ccp_dec_bytes(ccp_dec *d, uint64_t n) {
  const unsigned char *p = d->p;
  if (n > (uint64_t)(d->end - p))
    ccp_dec_bad(d, "truncated");
  d->p += n;
  return p;
}
uint64_t ccp_dec_long_varint(ccp_dec *d);
static inline uint64_t ccp_dec_varint(ccp_dec *d) {
  if (d->p < d->end && *d->p < 0x80)
    return *d->p++;
  return ccp_dec_long_varint(d);
}

/* Reads a value: pushes it, or opens it as a frame, its container pushed. */
int ccp_dec_value(ccp_dec *d);

/* decode_frame.c. Opens the container on the top as a frame. */
ccp_open *ccp_dec_open(ccp_dec *d, int in, uint64_t last);

/* decode_type.c. The parts of the innermost frame, a type, are there: it may be
** referred to. Gives what the next does. */
int ccp_dec_end_type(ccp_dec *d);

/* As ccp_dec_remember, for a table; but what refers to the metatable of a type
** that is known here means the known one. */
void ccp_dec_remember_table(ccp_dec *d, uint64_t off);

/* The late values of a type, the innermost frame: 0 until they are read. */
int ccp_dec_step_late(ccp_dec *d);

/* On the top are these, or nil: they go to their places, but not into a type
** that was known before. */
void ccp_dec_late(ccp_dec *d);

/* A type and then a value: 0 until both are read. On the top is one of them:
** the frame becomes the value. */
int ccp_dec_step_after(ccp_dec *d);
void ccp_dec_after(ccp_dec *d);

/* decode_frame.c. Reads on until no frame is open: the value of the first is on
 * the top. */
void ccp_dec_run(ccp_dec *d);

/* The object on the top is what references to that offset mean. */
void ccp_dec_remember(ccp_dec *d, uint64_t off);

/* Pushes the object that was defined at that offset. */
void ccp_dec_recall(ccp_dec *d, uint64_t off);

#endif
