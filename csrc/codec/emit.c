/*
** Single values into a buffer; see emit.h. Any thread.
*/
#include "codec/emit.h"

enum { RUN_MIN = 4 }; /* fewer items are written one by one */

int ccp_emit_bytes(ccp_buf *b, int tag, const char *s, size_t len) {
  size_t head = 1 + CCP_VARINT_MAX;
  unsigned char *p =
      len <= SIZE_MAX - head ? ccp_buf_room(b, head + len) : NULL;
  if (p == NULL)
    return CCP_E_NOMEM;
  *p = (unsigned char)tag;
  unsigned char *at = ccp_wire_varint(p + 1, len);
  memcpy(at, s, len);
  b->len += (size_t)(at - p) + len;
  return CCP_OK;
}

/* log2 of the bytes that every integer of the run fits in. */
static unsigned width(const ccp_run *r) {
  uint64_t all = 0; /* every bit that is not a copy of the sign */
  for (unsigned i = 0; i < r->n; i++) {
    uint64_t v = r->items[i];
    all |= v ^ (uint64_t)((int64_t)v >> 63);
  }
  return all < 0x80 ? 0 : all < 0x8000 ? 1 : all < 0x80000000 ? 2 : 3;
}

static void store_all(unsigned char *p, const ccp_run *r, unsigned log2) {
  switch (log2) {
  case 0:
    for (unsigned i = 0; i < r->n; i++)
      p[i] = (unsigned char)r->items[i];
    break;
  case 1:
    for (unsigned i = 0; i < r->n; i++)
      ccp_wire_store(p + (size_t)2 * i, r->items[i], 2);
    break;
  case 2:
    for (unsigned i = 0; i < r->n; i++)
      ccp_wire_store(p + (size_t)4 * i, r->items[i], 4);
    break;
  default:
    for (unsigned i = 0; i < r->n; i++)
      ccp_wire_store(p + (size_t)8 * i, r->items[i], 8);
  }
}

static int emit_few(ccp_buf *b, const ccp_run *r) {
  int rc = CCP_OK;
  for (unsigned i = 0; i < r->n && rc == CCP_OK; i++)
    rc = r->tag == CCP_T_RUNF ? ccp_emit_float(b, ccp_wire_double(r->items[i]))
                              : ccp_emit_int(b, (lua_Integer)r->items[i]);
  return rc;
}

int ccp_emit_run(ccp_buf *b, ccp_run *r) {
  int rc = CCP_OK;
  if (r->n < RUN_MIN) {
    rc = emit_few(b, r);
  } else {
    unsigned log2 = r->tag == CCP_T_RUNF ? 3 : width(r);
    size_t bytes = (size_t)r->n << log2;
    unsigned char *p = ccp_buf_room(b, 2 + bytes);
    if (p == NULL)
      return CCP_E_NOMEM;
    p[0] = (unsigned char)(r->tag == CCP_T_RUNF ? CCP_T_RUNF
                                                : CCP_T_RUN8 + (int)log2);
    p[1] = (unsigned char)(r->n - 1);
    store_all(p + 2, r, log2);
    b->len += 2 + bytes;
  }
  r->n = 0;
  r->tag = 0;
  return rc;
}
