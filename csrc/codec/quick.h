/*
** The smallest messages, written and read in place: one integer. The codec
** proper would give the same bytes and the same value.
*/
#ifndef CCP_CODEC_QUICK_H
#define CCP_CODEC_QUICK_H

#include <lua.h>

#include "codec/wire.h"

enum { CCP_QUICK_ROOM = 16 }; /* bytes that ccp_quick_write may touch */

/* Writes the message of the integer v at 'to'; its length. */
static inline size_t ccp_quick_write(unsigned char *to, lua_Integer v) {
  uint64_t word;
  size_t len;
  if (v != (int32_t)v) {
    to[0] = 1;
    return (size_t)(ccp_wire_int(to + 1, v) - to);
  }
  if (v >= CCP_SMALL_MIN && v <= CCP_SMALL_MAX) {
    word = (uint64_t)(CCP_T_SMALL + (int)v - CCP_SMALL_MIN);
    len = 2;
  } else {
    int tag = v == (int8_t)v    ? CCP_T_INT8
              : v == (int16_t)v ? CCP_T_INT16
                                : CCP_T_INT32;
    word = (uint64_t)tag | (uint64_t)v << 8;
    len = 2 + ((size_t)1 << (tag - CCP_T_INT8));
  }
  ccp_wire_store(to, word << 8 | 1, 8); /* in one piece: see ccp_wire_int */
  return len;
}

/* Pushes the value of a message that is one integer and nothing else; 0, and
** nothing pushed, if it is not. */
static inline int ccp_quick_push(lua_State *L, const unsigned char *p,
                                 size_t len) {
  unsigned tag;
  if (len < 2 || p[0] != 1)
    return 0;
  tag = p[1];
  if (tag >= CCP_T_SMALL && len == 2)
    lua_pushinteger(L, (int)tag - CCP_T_SMALL + CCP_SMALL_MIN);
  else if (tag >= CCP_T_INT8 && tag <= CCP_T_INT64 &&
           len == 2 + ((size_t)1 << (tag - CCP_T_INT8)))
    lua_pushinteger(L, ccp_wire_signed(p + 2, len - 2));
  else
    return 0;
  return 1;
}

#endif
