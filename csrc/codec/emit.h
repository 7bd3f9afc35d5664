/*
** Single values into a buffer: what needs neither a frame nor a memo. Each
** function appends and returns CCP_OK or CCP_E_NOMEM.
*/
#ifndef CCP_CODEC_EMIT_H
#define CCP_CODEC_EMIT_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "codec/buf.h"
#include "codec/wire.h"
#include "os/codes.h"

static inline int ccp_emit_tag(ccp_buf *b, int tag) {
  unsigned char *p = ccp_buf_room(b, 1);
  if (p == NULL)
    return CCP_E_NOMEM;
  *p = (unsigned char)tag;
  b->len++;
  return CCP_OK;
}

static inline int ccp_emit_int(ccp_buf *b, lua_Integer v) {
  unsigned char *p = ccp_buf_room(b, 9);
  if (p == NULL)
    return CCP_E_NOMEM;
  b->len += (size_t)(ccp_wire_int(p, v) - p);
  return CCP_OK;
}

static inline int ccp_emit_float(ccp_buf *b, lua_Number v) {
  unsigned char *p = ccp_buf_room(b, 9);
  if (p == NULL)
    return CCP_E_NOMEM;
  *p = CCP_T_FLOAT;
  ccp_wire_store(p + 1, ccp_wire_bits(v), 8);
  b->len += 9;
  return CCP_OK;
}

/* A tag and a number. */
static inline int ccp_emit_varint(ccp_buf *b, int tag, uint64_t v) {
  unsigned char *p = ccp_buf_room(b, 1 + CCP_VARINT_MAX);
  if (p == NULL)
    return CCP_E_NOMEM;
  *p = (unsigned char)tag;
  b->len += (size_t)(ccp_wire_varint(p + 1, v) - p);
  return CCP_OK;
}

/* A tag, a length and that many bytes. */
int ccp_emit_bytes(ccp_buf *b, int tag, const char *s, size_t len);

/* A string of at most CCP_SHORT_MAX bytes; base is CCP_T_SHORT or
** CCP_T_DEFINE. */
static inline int ccp_emit_short(ccp_buf *b, int base, const char *s,
                                 size_t len) {
  unsigned char *p = ccp_buf_room(b, 1 + CCP_SHORT_MAX);
  if (p == NULL)
    return CCP_E_NOMEM;
  *p = (unsigned char)(base | (int)len);
  memcpy(p + 1, s, len);
  b->len += 1 + len;
  return CCP_OK;
}

/* A string that has a slot. */
static inline int ccp_emit_slot(ccp_buf *b, int slot) {
  unsigned char *p = ccp_buf_room(b, 2);
  if (p == NULL)
    return CCP_E_NOMEM;
  p[0] = CCP_T_SREF;
  p[1] = (unsigned char)slot;
  b->len += 2;
  return CCP_OK;
}

static inline int ccp_emit_string(ccp_buf *b, const char *s, size_t len) {
  return len <= CCP_SHORT_MAX ? ccp_emit_short(b, CCP_T_SHORT, s, len)
                              : ccp_emit_bytes(b, CCP_T_STR, s, len);
}

/* Array items of one kind, gathered to be written together. */
typedef struct ccp_run {
  int tag;    /* CCP_T_RUN64: integers; CCP_T_RUNF: floats; 0: empty */
  unsigned n; /* items, at most CCP_RUN_MAX */
  uint64_t items[CCP_RUN_MAX];
} ccp_run;

/* Writes what was gathered and empties the run. */
int ccp_emit_run(ccp_buf *b, ccp_run *r);

static inline int ccp_run_add(ccp_buf *b, ccp_run *r, int tag, uint64_t item) {
  if (r->tag != tag || r->n == CCP_RUN_MAX) {
    int rc = ccp_emit_run(b, r);
    if (rc != CCP_OK)
      return rc;
    r->tag = tag;
  }
  r->items[r->n++] = item;
  return CCP_OK;
}

#endif
