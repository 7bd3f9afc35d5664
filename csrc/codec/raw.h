/*
** Lua's tables as they lie in memory, to be read and never written. The thread
** of the state.
**
** A table of data is read several times faster this way than through Lua's
** interface, which takes four calls an item. The layout is that of Lua 5.4 and
** not promised: nothing relies on it until it has been tried on tables made for
** it (ccp_raw_known); where the trial fails the interface is used. Between two
** calls into Lua no table changes, moves or dies.
*/
#ifndef CCP_CODEC_RAW_H
#define CCP_CODEC_RAW_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

/* They alias what Lua wrote there by types of its own. */
#define CCP_RAW __attribute__((may_alias))

typedef union ccp_raw_word {
  const void *p;
  lua_Integer i;
  lua_Number n;
} CCP_RAW ccp_raw_word;

typedef struct ccp_raw_value {
  ccp_raw_word as;
  unsigned char tag; /* CCP_RAW_* */
} CCP_RAW ccp_raw_value;

/* A pair; without a value it is free. */
typedef struct ccp_raw_node {
  ccp_raw_word as; /* the value */
  unsigned char tag, key_tag;
  int next;
  ccp_raw_word key;
} CCP_RAW ccp_raw_node;

typedef struct ccp_raw_table {
  const void *next;
  unsigned char kind, marked, flags, log2; /* log2 of its nodes */
  unsigned int size;                       /* see ccp_raw_places */
  const ccp_raw_value *items;
  const ccp_raw_node *nodes;
  const void *last_free;
  const void *metatable; /* NULL: none */
} CCP_RAW ccp_raw_table;

typedef struct ccp_raw_string {
  const void *next;
  unsigned char kind, marked, extra, short_len;
  unsigned int hash;
  union {
    size_t len; /* of a long one */
    const void *next;
  } u;
  char text[];
} CCP_RAW ccp_raw_string;

enum {
  CCP_RAW_FALSE = 1,
  CCP_RAW_INT = 3,
  CCP_RAW_TRUE = 17,
  CCP_RAW_FLOAT = 19,
  CCP_RAW_OBJECT = 64, /* set if the value is the address of an object */
  CCP_RAW_SHORT = 68,  /* a string of at most 40 bytes, of which there is one */
  CCP_RAW_TABLE = 69,
  CCP_RAW_LONG = 84 /* a longer string */
};

/* Does this program's Lua keep its tables so? Tried once, in a state made for
** it; raises nothing. */
int ccp_raw_known(void);

/* Three kinds of nil: none, absent and free. */
static inline int ccp_raw_is_nil(unsigned char tag) {
  return (tag & 15) == 0;
}

static inline int ccp_raw_is_free(const ccp_raw_value *v) {
  return ccp_raw_is_nil(v->tag);
}

/* How far the array part reaches. If a bit says so, `size` is a hint for the
** length instead, and the next power of two is meant. */
static inline size_t ccp_raw_places(const ccp_raw_table *t) {
  size_t n = t->size;
  if (!(t->flags & 0x80) || (n & (n - 1)) == 0)
    return n;
  return (size_t)1 << (64 - __builtin_clzll(n));
}

/* What # says of the array part, by Lua's own way of choosing where there are
** holes. Lua may go on among the pairs. */
size_t ccp_raw_length(const ccp_raw_table *t);

static inline size_t ccp_raw_nodes(const ccp_raw_table *t) {
  return (size_t)1 << t->log2;
}

#endif
