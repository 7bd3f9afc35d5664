/*
** The byte stream: tags, number forms and the fixed limits both sides share.
** Any change here is a new CCP_WIRE_VERSION. No state, any thread.
**
**   message = count:varint value*count
**   value   = one of the tags below, what follows it in brackets
**
** A table is [hint:1 narr:varint] then up to narr array items (runs allowed),
** CCP_T_ENDARR if fewer than narr, then key value pairs, CCP_T_END, and for
** CCP_T_TABLE_MT its metatable. `hint` is 0, or 1 + log2 of the number of pairs
** rounded up. A function with upvalues is [dump, n:1] and n upvalues, each a
** value or CCP_T_UPJOIN. A back-reference is the distance of the definition's
** tag from the message's first byte; that tag then carries CCP_T_SHARED.
** The values of a type that its own parts hold cannot be loaded before them:
** there they are nil, and `late` is an array of the places, three items each:
** a table and a key, or a function and the number of an upvalue, and the value.
** It is nil if there are none.
** The lengths of Lua's numbers and the byte order are fixed. A sealed dump is
** [origin:4 hash:8 dump]: the origin is CCP_WIRE_VERSION, Lua's version (54),
** the bytes of an integer and of a float, the bytes of a pointer and the byte
** order of what Lua wrote into the dump.
*/
#ifndef CCP_CODEC_WIRE_H
#define CCP_CODEC_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <lua.h>

#define CCP_WIRE_VERSION 3

enum {
  CCP_T_NIL = 0,
  CCP_T_FALSE,
  CCP_T_TRUE,
  CCP_T_INT8,    /* [1] little endian, as all that follow */
  CCP_T_INT16,   /* [2] */
  CCP_T_INT32,   /* [4] */
  CCP_T_INT64,   /* [8] */
  CCP_T_FLOAT,   /* [8] */
  CCP_T_STR,     /* [len:varint bytes] */
  CCP_T_SREF,    /* [slot:1] a string defined before in this message */
  CCP_T_RUN8,    /* [count-1:1 count*1] array items, as the next four */
  CCP_T_RUN16,   /* [count-1:1 count*2] */
  CCP_T_RUN32,   /* [count-1:1 count*4] */
  CCP_T_RUN64,   /* [count-1:1 count*8] */
  CCP_T_RUNF,    /* [count-1:1 count*8] */
  CCP_T_ENDARR,  /* the array items end early */
  CCP_T_END,     /* the pairs end */
  CCP_T_GLOBALS, /* the receiver's globals */
  CCP_T_REF,     /* [offset:varint] */
  CCP_T_RESOLVE, /* [len:varint "module.function"] */
  CCP_T_UPJOIN,  /* [offset:varint n:1] upvalue n of that function */
  /* From here on a tag may carry CCP_T_SHARED. */
  CCP_T_TABLE,
  CCP_T_TABLE_MT,
  CCP_T_FREF0,  /* [id:varint] kept dump; no upvalue, or the globals alone */
  CCP_T_FREF,   /* [id:varint n:1 upvalues] */
  CCP_T_FDUMP0, /* [len:varint sealed dump] */
  CCP_T_FDUMP,  /* [len:varint sealed dump, n:1 upvalues] */
  CCP_T_NAME,   /* [len:varint name]: see names.h */
  CCP_T_USER,   /* [n:varint values]: registered; the first is its type */
  CCP_T_TYPE0,  /* [len:varint "name" or "name\0module"]: a metatable */
  CCP_T_TYPE,   /* [len:varint name, number:varint, metatable, save, load,
                   late]: see above */
  CCP_T_AFTER,  /* [type value]: the value; for the type may hold it itself */
  CCP_T_LAST = CCP_T_AFTER,

  CCP_T_SHARED = 0x20,
  CCP_T_SHORT = 0x40,  /* | len < 32: [bytes] */
  CCP_T_DEFINE = 0x60, /* | len < 32: [bytes], takes the next string slot */
  CCP_T_SMALL = 0x80   /* + value - CCP_SMALL_MIN */
};

enum {
  CCP_SMALL_MIN = -16,
  CCP_SMALL_MAX = 111,
  CCP_SHORT_MAX = 31,       /* longest string that fits a one-byte tag */
  CCP_STR_SLOTS = 256,      /* slots are taken in turn, the oldest is lost */
  CCP_RUN_MAX = 256,        /* items of one run */
  CCP_VARINT_MAX = 10,      /* bytes of the longest varint */
  CCP_ORIGIN = 4,           /* bytes that say who made a dump */
  CCP_SEAL = CCP_ORIGIN + 8 /* and of the hash that follows them */
};

static inline void ccp_wire_store(unsigned char *p, uint64_t v, size_t n) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  memcpy(p, &v, n);
#else
  for (size_t i = 0; i < n; i++)
    p[i] = (unsigned char)(v >> (8 * i));
#endif
}

static inline uint64_t ccp_wire_fetch(const unsigned char *p, size_t n) {
  uint64_t v = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  memcpy(&v, p, n);
#else
  for (size_t i = 0; i < n; i++)
    v |= (uint64_t)p[i] << (8 * i);
#endif
  return v;
}

/* The n-byte integer at p with its sign; n is 1, 2, 4 or 8. Each has a load of
** its size: what goes through memory in pieces stalls a processor. */
static inline int64_t ccp_wire_signed(const unsigned char *p, size_t n) {
  switch (n) {
  case 1:
    return (int8_t)*p;
  case 2:
    return (int16_t)ccp_wire_fetch(p, 2);
  case 4:
    return (int32_t)ccp_wire_fetch(p, 4);
  default:
    return (int64_t)ccp_wire_fetch(p, 8);
  }
}

static inline uint64_t ccp_wire_bits(double v) {
  uint64_t u;
  memcpy(&u, &v, sizeof u);
  return u;
}

static inline double ccp_wire_double(uint64_t u) {
  double v;
  memcpy(&v, &u, sizeof v);
  return v;
}

/* Writes v at p (room for CCP_VARINT_MAX) and returns the byte after it. */
static inline unsigned char *ccp_wire_varint(unsigned char *p, uint64_t v) {
  while (v >= 0x80) {
    *p++ = (unsigned char)(v | 0x80);
    v >>= 7;
  }
  *p++ = (unsigned char)v;
  return p;
}

/* Reads a varint at p, before end; NULL if it is cut short or too long. */
static inline const unsigned char *ccp_wire_unvarint(const unsigned char *p,
                                                     const unsigned char *end,
                                                     uint64_t *v) {
  uint64_t r = 0;
  for (unsigned shift = 0; shift < 64 && p < end; shift += 7) {
    unsigned char c = *p++;
    r |= (uint64_t)(c & 0x7f) << shift;
    if (c < 0x80) {
      *v = r;
      return p;
    }
  }
  return NULL;
}

/* Writes the integer v at p (room for 9) and returns the byte after it. */
static inline unsigned char *ccp_wire_int(unsigned char *p, int64_t v) {
  if (v >= CCP_SMALL_MIN && v <= CCP_SMALL_MAX) {
    *p = (unsigned char)(CCP_T_SMALL + (int)v - CCP_SMALL_MIN);
    return p + 1;
  }
  int tag = v == (int8_t)v    ? CCP_T_INT8
            : v == (int16_t)v ? CCP_T_INT16
            : v == (int32_t)v ? CCP_T_INT32
                              : CCP_T_INT64;
  /* in one piece, so that it can be read in one; the rest is written over */
  ccp_wire_store(p, (uint64_t)tag | (uint64_t)v << 8, 8);
  p[8] = (unsigned char)((uint64_t)v >> 56);
  return p + 1 + ((size_t)1 << (tag - CCP_T_INT8));
}

/* A 64-bit hash of bytes: it seals dumps against damage, not against forgery.
 */
uint64_t ccp_wire_hash(const void *p, size_t len);

_Static_assert(sizeof(lua_Integer) == 8 && sizeof(lua_Number) == 8,
               "the wire carries 64-bit integers and doubles");

#endif
