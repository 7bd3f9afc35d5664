/*
** Typed memory. The elements need no lock and no repair: each access is one
** atomic operation. Any thread of any process.
*/
#include "shared/array.h"

#include <math.h>
#include <string.h>

#include "os/codes.h"
#include "os/fault.h"
#include "shared/arena.h"

static const struct {
  const char *name;
  size_t width;
  int64_t least, most; /* of integers */
} types[CCP_TYPES] = {{"i8", 1, INT8_MIN, INT8_MAX},
                      {"u8", 1, 0, UINT8_MAX},
                      {"i16", 2, INT16_MIN, INT16_MAX},
                      {"u16", 2, 0, UINT16_MAX},
                      {"i32", 4, INT32_MIN, INT32_MAX},
                      {"u32", 4, 0, UINT32_MAX},
                      {"i64", 8, INT64_MIN, INT64_MAX},
                      {"f32", 4, 0, 0},
                      {"f64", 8, 0, 0}};

static void array_repair(ccp_object *o) {
  (void)o;
}

static void array_left(ccp_object *o, uint32_t member, int died) {
  (void)died;
  ccp_latch_left(&((ccp_array *)(void *)o)->latch, member);
}

static void array_fini(ccp_object *o) {
  ccp_array *a = (ccp_array *)(void *)o;
  unsigned char *data = a->data;
  a->data = NULL;
  ccp_arena_free(data);
}

const ccp_object_ops ccp_array_ops = {array_repair, array_left, array_fini,
                                      NULL};

int ccp_array_type_of(const char *name) {
  for (int i = 0; i < CCP_TYPES; i++)
    if (strcmp(types[i].name, name) == 0)
      return i;
  return -1;
}

const char *ccp_array_type_name(uint32_t type) {
  return types[type].name;
}

size_t ccp_array_width(uint32_t type) {
  return types[type].width;
}

/* The array owns its data before they are made 0. */
static int give_data(ccp_array *a, size_t len) {
  a->data = ccp_arena_alloc(len, NULL);
  CCP_FAULT("keep");
  if (a->data)
    ccp_arena_zero(a->data, len);
  return a->data != NULL;
}

ccp_array *ccp_array_new(uint32_t type, uint64_t n) {
  ccp_array *a;
  size_t width = types[type].width, len = n ? (size_t)n * width : 1;
  if (n > (SIZE_MAX >> 16) / width)
    return NULL;
  a = ccp_object_new(CCP_K_ARRAY, sizeof *a);
  if (!a)
    return NULL;
  a->type = type;
  a->n = n;
  if (!give_data(a, len)) {
    ccp_object_sweep();
    (void)give_data(a, len);
  }
  if (!a->data) {
    ccp_object_release(
        (ccp_object_name){atomic_load(&a->object.id), a->object.index});
    return NULL;
  }
  return a;
}

size_t ccp_array_bytes(const ccp_array *a) {
  return (size_t)a->n * types[a->type].width;
}

/* ------------------------------------------------------------ one element */

static uint64_t load_bits(const void *p, size_t width) {
  switch (width) {
  case 1:
    return __atomic_load_n((const uint8_t *)p, __ATOMIC_ACQUIRE);
  case 2:
    return __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE);
  case 4:
    return __atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE);
  default:
    return __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE);
  }
}

static void store_bits(void *p, size_t width, uint64_t bits) {
  switch (width) {
  case 1:
    __atomic_store_n((uint8_t *)p, (uint8_t)bits, __ATOMIC_RELEASE);
    break;
  case 2:
    __atomic_store_n((uint16_t *)p, (uint16_t)bits, __ATOMIC_RELEASE);
    break;
  case 4:
    __atomic_store_n((uint32_t *)p, (uint32_t)bits, __ATOMIC_RELEASE);
    break;
  default:
    __atomic_store_n((uint64_t *)p, bits, __ATOMIC_RELEASE);
  }
}

#define CAS(type)                                                              \
  do {                                                                         \
    type expected = (type)*old;                                                \
    int same =                                                                 \
        __atomic_compare_exchange_n((type *)p, &expected, (type)bits, 0,       \
                                    __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);       \
    *old = expected;                                                           \
    return same;                                                               \
  } while (0)

static int cas_bits(void *p, size_t width, uint64_t *old, uint64_t bits) {
  switch (width) {
  case 1:
    CAS(uint8_t);
  case 2:
    CAS(uint16_t);
  case 4:
    CAS(uint32_t);
  default:
    CAS(uint64_t);
  }
}

static uint64_t bits_of(uint32_t type, ccp_number x) {
  uint64_t bits;
  float single;
  uint32_t half;
  switch (type) {
  case CCP_F32:
    single = (float)x.as.f;
    memcpy(&half, &single, sizeof half);
    return half;
  case CCP_F64:
    memcpy(&bits, &x.as.f, sizeof bits);
    return bits;
  default:
    return (uint64_t)x.as.i;
  }
}

static ccp_number number_of(uint32_t type, uint64_t bits) {
  ccp_number x = {type >= CCP_F32, {0}};
  float single;
  uint32_t half = (uint32_t)bits;
  switch (type) {
  case CCP_I8:
    x.as.i = (int8_t)bits;
    break;
  case CCP_I16:
    x.as.i = (int16_t)bits;
    break;
  case CCP_I32:
    x.as.i = (int32_t)bits;
    break;
  case CCP_F32:
    memcpy(&single, &half, sizeof single);
    x.as.f = (double)single;
    break;
  case CCP_F64:
    memcpy(&x.as.f, &bits, sizeof bits);
    break;
  default:
    x.as.i = (int64_t)bits;
  }
  return x;
}

static unsigned char *at(const ccp_array *a, uint64_t i) {
  return a->data + (size_t)i * types[a->type].width;
}

ccp_number ccp_array_get(const ccp_array *a, uint64_t i) {
  return number_of(a->type, load_bits(at(a, i), types[a->type].width));
}

/* A float that is a whole number counts as an integer, as in Lua. */
int ccp_array_fit(uint32_t type, ccp_number *x) {
  if (type >= CCP_F32) {
    if (!x->is_float)
      x->as.f = (double)x->as.i;
    x->is_float = 1;
    return 1;
  }
  if (x->is_float) {
    double f = x->as.f;
    if (!(f >= -0x1p63 && f < 0x1p63) || floor(f) != f)
      return 0;
    x->as.i = (int64_t)f;
    x->is_float = 0;
  }
  return x->as.i >= types[type].least && x->as.i <= types[type].most;
}

void ccp_array_set(ccp_array *a, uint64_t i, ccp_number x) {
  store_bits(at(a, i), types[a->type].width, bits_of(a->type, x));
}

/* The term of a sum may be out of the type's range where the sum is not. */
int ccp_array_add(ccp_array *a, uint64_t i, ccp_number *x) {
  size_t width = types[a->type].width;
  uint64_t old = load_bits(at(a, i), width);
  ccp_number sum;
  do {
    sum = number_of(a->type, old);
    if (sum.is_float)
      sum.as.f += x->as.f;
    else
      sum.as.i = (int64_t)((uint64_t)sum.as.i + (uint64_t)x->as.i);
    if (!ccp_array_fit(a->type, &sum))
      return 0;
  } while (!cas_bits(at(a, i), width, &old, bits_of(a->type, sum)));
  *x = number_of(a->type, bits_of(a->type, sum));
  return 1;
}

int ccp_array_cas(ccp_array *a, uint64_t i, ccp_number *old, ccp_number new_) {
  uint64_t bits = bits_of(a->type, *old);
  int same =
      cas_bits(at(a, i), types[a->type].width, &bits, bits_of(a->type, new_));
  *old = number_of(a->type, bits);
  return same;
}

/* One element, then what is there twice over and over: at memory speed. */
void ccp_array_fill(ccp_array *a, uint64_t i, uint64_t n, ccp_number x) {
  size_t width = types[a->type].width, len = (size_t)n * width, done = width;
  unsigned char *to = at(a, i);
  if (n == 0)
    return;
  ccp_array_set(a, i, x);
  while (done < len) {
    size_t more = done < 65536 ? done : 65536 / width * width;
    if (more > len - done)
      more = len - done;
    memcpy(to + done, to, more);
    done += more;
  }
}
