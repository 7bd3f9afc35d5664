/*
** Arrays of numbers in shared memory; a Value is an array of one.
*/
#ifndef CCP_SHARED_ARRAY_H
#define CCP_SHARED_ARRAY_H

#include "shared/latch.h"

enum ccp_array_type {
  CCP_I8,
  CCP_U8,
  CCP_I16,
  CCP_U16,
  CCP_I32,
  CCP_U32,
  CCP_I64,
  CCP_F32,
  CCP_F64,
  CCP_TYPES
};

/* A number as Lua has them. */
typedef struct ccp_number {
  int is_float;
  union {
    int64_t i;
    double f;
  } as;
} ccp_number;

typedef struct ccp_array {
  ccp_object object;
  ccp_latch latch;
  /* written once */
  uint32_t type;
  uint32_t is_value;
  uint64_t n;
  unsigned char *data; /* owned: an arena block */
} ccp_array;

/* The name's type, or -1. */
int ccp_array_type_of(const char *name);
const char *ccp_array_type_name(uint32_t type);
size_t ccp_array_width(uint32_t type);

/* n zeros; NULL: no memory. Costs no memory until it is written to. */
ccp_array *ccp_array_new(uint32_t type, uint64_t n);
size_t ccp_array_bytes(const ccp_array *a);

/* Elements are counted from 0 and must exist. Reading and writing one is
** atomic, and acquires and releases. */
ccp_number ccp_array_get(const ccp_array *a, uint64_t i);
/* What the number becomes in this type; false: it does not fit. */
int ccp_array_fit(uint32_t type, ccp_number *x);
/* x must fit. */
void ccp_array_set(ccp_array *a, uint64_t i, ccp_number x);
/* Adds in one step: false if the sum does not fit, and nothing has changed;
** else *x is the sum. Sums of i64 wrap around as in Lua. */
int ccp_array_add(ccp_array *a, uint64_t i, ccp_number *x);
/* True if the element was 'old' and is 'new_' now; *old is what it was. */
int ccp_array_cas(ccp_array *a, uint64_t i, ccp_number *old, ccp_number new_);
void ccp_array_fill(ccp_array *a, uint64_t i, uint64_t n, ccp_number x);

#endif
