/*
** The arena's allocator: a fresh end that only grows, and one lock-free stack
** of free blocks per size. Any thread of any process of the family.
*/
#include "shared/arena.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "os/codes.h"
#include "os/fault.h"
#include "os/mapping.h"

enum {
  HEADER = 64,     /* bytes before each block's content */
  CLASS_MIN = 7,   /* 128 bytes, header included */
  CLASS_FINE = 20, /* 1 MiB: from here on four sizes to a power of two */
  CLASS_MAX = CLASS_FINE + 4 * (47 - CLASS_FINE), /* as addresses go: 2^47 */
  OFFSET_BITS = 40 /* of a stack's head, in units of HEADER */
};

#define BUSY 0xb10cb05eu
#define IDLE 0xb10cf4eeu
#define HUGE_PAGE ((size_t)2 << 20)
#define PUNCH_FROM ((size_t)1 << 16) /* smaller blocks always stay warm */
#define PAGE ((size_t)1 << 12) /* that blocks which may be punched begin at */
#define WARM_MOST ((size_t)256 << 20)
#define OFFSET_MASK (((uint64_t)1 << OFFSET_BITS) - 1)

typedef struct header {
  _Atomic uint64_t next; /* while idle: the stack's next block, 0 for none */
  _Atomic uint32_t state;
  uint16_t class_; /* written once, when the block is made */
  uint16_t cold;   /* while idle: its pages were given back */
} header;

/* Lies at the arena's beginning. Every word is written by any process. */
typedef struct control {
  _Atomic uint64_t top;  /* offset of the fresh end */
  _Atomic uint64_t warm; /* bytes of large idle blocks that kept pages */
  _Atomic uint64_t heads[CLASS_MAX + 1]; /* tag << OFFSET_BITS | offset */
  _Atomic(void *) root;
} control;

static unsigned char *base; /* both set once, before any fork */
static size_t size;

/* A number, or one with a unit behind it; what is neither counts as unset. */
static size_t wanted_size(void) {
  const char *text = getenv("CCPOOL_ARENA");
  const size_t usual = (size_t)1 << 38; /* addresses, not memory */
  const char *units = "KMG", *unit;
  unsigned shift = 0;
  unsigned long long n;
  char *end;
  if (!text || *text < '0' || *text > '9')
    return usual;
  n = strtoull(text, &end, 10);
  if (*end) {
    unit = strchr(units, *end & ~0x20);
    if (!unit || end[1])
      return usual;
    shift = 10 * (unsigned)(unit - units + 1);
  }
  return n && n <= SIZE_MAX >> shift ? (size_t)(n << shift) : usual;
}

/* As much as can be had of 'n' bytes. Where that is not all of it, addresses
** are scarce, and boards, stacks and heaps need theirs: a quarter is kept. */
static void reserve_at_most(size_t n) {
  const size_t least = (size_t)1 << 20;
  size_t most = n < least ? least : n;
  for (n = most; n >= least && !base; n /= 2) {
    base = ccp_mapping_shared(n);
    size = n;
  }
  if (base && size < most && size / 4 >= least) {
    n = size / 4;
    ccp_mapping_free(base + n, size - n);
    size = n;
  }
}

static void reserve(void) {
  reserve_at_most(wanted_size());
  if (!base)
    return;
  (void)madvise(base, size, MADV_DONTDUMP);
  atomic_init(&((control *)(void *)base)->top,
              (sizeof(control) + HEADER - 1) / HEADER * HEADER);
}

int ccp_arena_open(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, reserve);
  return base ? CCP_OK : CCP_E_NOMEM;
}

static control *ctl(void) {
  return (control *)(void *)base;
}

static header *at(uint64_t offset) {
  return (header *)(void *)(base + offset);
}

static header *header_of(const void *block) {
  return (header *)((uintptr_t)block - HEADER);
}

/* Bytes of a block of that class, header included. What is large often has a
** power of two of bytes itself, and would take twice that with its header. */
static size_t size_of(unsigned c) {
  unsigned fine = c - CLASS_FINE;
  if (c <= CLASS_FINE)
    return (size_t)1 << c;
  return (size_t)(4 + fine % 4) << (CLASS_FINE - 2 + fine / 4);
}

static unsigned class_for(size_t len) {
  unsigned c = CLASS_MIN;
  while (c <= CLASS_MAX && size_of(c) - HEADER < len)
    c++;
  return c;
}

/* The tag grows with every change of the head, so a head that was read before
** others popped and pushed the same block no longer compares equal. */
static uint64_t pack(uint64_t old, uint64_t offset) {
  uint64_t tag = (old >> OFFSET_BITS) + 1;
  return (tag << OFFSET_BITS) | (offset / HEADER);
}

/* Dying after the exchange loses the block; dying before it changes nothing. */
static header *pop(unsigned c) {
  _Atomic uint64_t *head = &ctl()->heads[c];
  /* acquire: pairs with push, so that the header's next is readable */
  uint64_t old = atomic_load_explicit(head, memory_order_acquire);
  for (;;) {
    uint64_t offset = (old & OFFSET_MASK) * HEADER;
    uint64_t next;
    if (!offset)
      return NULL;
    next = atomic_load_explicit(&at(offset)->next, memory_order_relaxed);
    if (atomic_compare_exchange_weak_explicit(head, &old, pack(old, next),
                                              memory_order_acquire,
                                              memory_order_acquire))
      return at(offset);
  }
}

static void push(unsigned c, header *h) {
  _Atomic uint64_t *head = &ctl()->heads[c];
  uint64_t offset = (uint64_t)((unsigned char *)h - base);
  uint64_t old = atomic_load_explicit(head, memory_order_relaxed);
  do
    atomic_store_explicit(&h->next, (old & OFFSET_MASK) * HEADER,
                          memory_order_relaxed);
  /* release: what this process did with the block is over before another
  ** takes it */
  while (!atomic_compare_exchange_weak_explicit(head, &old, pack(old, offset),
                                                memory_order_release,
                                                memory_order_relaxed));
}

static header *fresh(unsigned c) {
  size_t len = size_of(c);
  size_t align = len >= HUGE_PAGE    ? HUGE_PAGE
                 : len >= PUNCH_FROM ? PAGE
                                     : HEADER;
  uint64_t top = atomic_load_explicit(&ctl()->top, memory_order_relaxed);
  uint64_t from;
  do {
    from = (top + align - 1) & ~(uint64_t)(align - 1);
    if (from > size || len > size - from)
      return NULL;
  } while (!atomic_compare_exchange_weak_explicit(&ctl()->top, &top, from + len,
                                                  memory_order_relaxed,
                                                  memory_order_relaxed));
  at(from)->class_ = (uint16_t)c;
  at(from)->cold = 1;
  if (len >= 2 * HUGE_PAGE)
    (void)madvise(base + from, len, MADV_HUGEPAGE);
  return at(from);
}

_Atomic(void *) *ccp_arena_root(void) {
  return base ? &ctl()->root : NULL;
}

static void *take(size_t len, size_t *room) {
  unsigned c = class_for(len);
  header *h;
  if (!base || c > CLASS_MAX || CCP_FAULT_NO_MEMORY())
    return NULL;
  h = pop(c);
  if (h && size_of(c) >= PUNCH_FROM && !h->cold)
    atomic_fetch_sub_explicit(&ctl()->warm, size_of(c), memory_order_relaxed);
  if (!h)
    h = fresh(c);
  if (!h)
    return NULL;
  atomic_store_explicit(&h->state, BUSY, memory_order_relaxed);
  if (room)
    *room = size_of(c) - HEADER;
  return (unsigned char *)h + HEADER;
}

void *ccp_arena_alloc(size_t len, size_t *room) {
  return take(len, room);
}

/* A block without pages is 0 but for the beginning of its first page and the
** end of its last, which it may share with neighbours. */
void ccp_arena_zero(void *block, size_t len) {
  unsigned char *p = block;
  size_t page = ccp_mapping_page(), edge;
  if (len < PUNCH_FROM) {
    memset(p, 0, len);
    return;
  }
  if (!header_of(p)->cold)
    ccp_mapping_punch(p, len);
  edge = page - ((uintptr_t)p & (page - 1));
  memset(p, 0, edge);
  edge = ((uintptr_t)p + len) & (page - 1);
  memset(p + len - edge, 0, edge);
}

void *ccp_arena_alloc_zeroed(size_t len) {
  void *p = take(len, NULL);
  if (p)
    ccp_arena_zero(p, len);
  return p;
}

static void chill(header *h, size_t len) {
  h->cold = 1;
  ccp_mapping_punch((unsigned char *)h + HEADER, len - HEADER);
}

/* Large idle blocks keep pages up to a bound: a first touch of a page costs
** more than copying it, but a peak must not last. The block that was used last
** is the likeliest to be used next, so another one of its size gives its pages
** up for it. */
static void cool(header *h, unsigned c) {
  size_t len = size_of(c);
  header *other;
  uint64_t warm =
      atomic_fetch_add_explicit(&ctl()->warm, len, memory_order_relaxed);
  h->cold = 0;
  if (warm + len <= WARM_MOST)
    return;
  atomic_fetch_sub_explicit(&ctl()->warm, len, memory_order_relaxed);
  other = pop(c);
  chill(other && !other->cold ? other : h, len);
  if (other)
    push(c, other);
}

void ccp_arena_free(void *block) {
  header *h;
  if (!block)
    return;
  h = header_of(block);
  if (h->class_ < CLASS_MIN || h->class_ > CLASS_MAX)
    return; /* somebody wrote over it: better lost than handed out again */
  if (atomic_exchange_explicit(&h->state, IDLE, memory_order_relaxed) != BUSY) {
#ifdef CCP_DEBUG
    abort();
#endif
    return; /* better lost than handed out twice */
  }
  if (size_of(h->class_) >= PUNCH_FROM)
    cool(h, h->class_);
  push(h->class_, h);
}

int ccp_arena_valid(const void *block, size_t len) {
  uintptr_t p = (uintptr_t)block, from = (uintptr_t)base;
  header *h;
  size_t top;
  if (!base || p % HEADER != 0 || p < from + sizeof(control) + HEADER)
    return 0;
  top = (size_t)atomic_load_explicit(&ctl()->top, memory_order_relaxed);
  top = top < size ? top : size; /* it is shared memory */
  if (p - from > top)
    return 0;
  h = header_of(block);
  return atomic_load_explicit(&h->state, memory_order_relaxed) == BUSY &&
         h->class_ >= CLASS_MIN && h->class_ <= CLASS_MAX &&
         len <= size_of(h->class_) - HEADER && len <= top - (size_t)(p - from);
}

void *ccp_arena_own(const void *block) {
  return base + ((uintptr_t)block - (uintptr_t)base);
}

void ccp_arena_stats(size_t *reserved, size_t *used, size_t *warm) {
  *reserved = size;
  *used = base ? (size_t)atomic_load(&ctl()->top) : 0;
  *warm = base ? (size_t)atomic_load(&ctl()->warm) : 0;
}
