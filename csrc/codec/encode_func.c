/*
** Lua functions to bytes: what stands for the bytecode, then the upvalues. See
** encode.h. The thread of the state.
*/
#include "codec/encode.h"

#include <string.h>

#include "codec/emit.h"
#include "codec/func.h"
#include "os/codes.h"

/* Writes what stands for the bytecode; `plain` if no upvalues follow. */
static int put_code(ccp_enc *e, const ccp_sent *sent, int kept, int plain) {
  if (kept)
    return ccp_emit_varint(e->b, plain ? CCP_T_FREF0 : CCP_T_FREF, sent->id);
  const void *dump = e->s->text.data;
  return ccp_emit_bytes(e->b, plain ? CCP_T_FDUMP0 : CCP_T_FDUMP, dump,
                        e->s->text.len);
}

int ccp_enc_open_function(ccp_enc *e, size_t off, const ccp_sent *sent,
                          int kept) {
  lua_State *L = e->L;
  int plain =
      sent->nups == 0 || (sent->env && ccp_func_env_is_globals(L, e->ctx, -1));
  int rc = put_code(e, sent, kept, plain);
  if (rc != CCP_OK)
    return rc;
  if (plain) {
    lua_pop(L, 1);
    return CCP_WRITTEN;
  }
  rc = ccp_emit_tag(e->b, sent->nups); /* a byte, as the tag */
  if (rc != CCP_OK)
    return rc;
  return ccp_enc_open(e, CCP_AT_UPVALUE, off, (uint64_t)sent->nups);
}

/* An upvalue that another function of this message has too: CCP_WRITTEN, and
** the value is popped; or CCP_NAMELESS if it is the first. */
static int put_join(ccp_enc *e, const ccp_frame *f, int slot) {
  void *cell = lua_upvalueid(e->L, slot, (int)f->next);
  uint64_t word, self = (uint64_t)f->off << 8 | f->next;
  int rc = ccp_memo_add(&e->s->cells, cell, self, &word);
  if (rc != 1)
    return rc == 0 ? CCP_NAMELESS : rc;
  lua_pop(e->L, 1);
  ccp_enc_share(e, word >> 8);
  rc = ccp_emit_varint(e->b, CCP_T_UPJOIN, word >> 8);
  return rc != CCP_OK ? rc : ccp_emit_tag(e->b, (int)(word & 0xff));
}

static int put_upvalue(ccp_enc *e, const ccp_frame *f, int slot) {
  lua_State *L = e->L;
  const char *name = lua_getupvalue(L, slot, (int)f->next);
  if (lua_topointer(L, -1) == e->ctx->globals && strcmp(name, "_ENV") == 0) {
    lua_pop(L, 1);
    return ccp_emit_tag(e->b, CCP_T_GLOBALS);
  }
  int rc = put_join(e, f, slot);
  return rc != CCP_NAMELESS ? rc : ccp_enc_put(e);
}

int ccp_enc_step_function(ccp_enc *e) {
  ccp_frame *f = ccp_enc_top(e);
  int slot = ccp_enc_slot(e, e->depth - 1), rc = CCP_WRITTEN;
  while (rc == CCP_WRITTEN && f->next < f->count) {
    f->next++;
    rc = put_upvalue(e, f, slot);
  }
  return rc;
}
