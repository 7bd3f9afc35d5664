/*
** The sieve of Eratosthenes over segments that fit a cache: one bit for each
** odd number. A segment begins as a copy of the pattern that the primes up to
** 13 leave; then the primes below 2^16 are crossed out, whose next multiples
** are kept from segment to segment. Numbers above 2^32 may have larger factors
** only. Those are crossed out block by block of primes if the segment is long
** enough to be worth it; otherwise what is left is tested by itself.
*/
#include "math/sieve.h"

#include <string.h>

#include "math/isprime.h"

enum {
  PATTERN_BYTES =
      15015, /* 3 * 5 * 7 * 11 * 13: the period, in bits and bytes */
  PATTERN_PRIMES = 5,
  SMALL_LIMIT = 1 << 16,
  SMALL_PRIMES = 6541, /* odd primes below SMALL_LIMIT */
  BLOCK_BYTES = 1 << 15,
  MIN_SEGMENT_BYTES = 1 << 15, /* fits the first level cache */
  MAX_SEGMENT_BYTES = 1 << 23
};
#define BLOCK_SPAN ((uint64_t)BLOCK_BYTES * 16)

struct ccp_sieve {
  uint64_t first; /* the next segment's bit 0; odd, 1 modulo 16 */
  uint64_t bits;  /* bits from there to the end of the range */
  uint64_t low;   /* the range begins here */
  uint64_t root;  /* no larger prime need be crossed out */
  size_t segment_bytes;
  size_t small_n;    /* primes in use: those up to 'root' */
  int crosses_large; /* else what is left is tested */
  uint16_t small[SMALL_PRIMES];
  uint32_t next[SMALL_PRIMES]; /* bit of the next multiple, from 'first' */
  unsigned char pattern[PATTERN_BYTES];
  unsigned char block[BLOCK_BYTES]; /* composites among the large primes */
  unsigned char composite[];        /* segment_bytes */
};

static uint64_t root_of(uint64_t n) {
  uint64_t root = 0;
  for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1)
    if ((root | bit) <= n / (root | bit))
      root |= bit;
  return root;
}

/* A segment is longer where there are more primes to be crossed out in it. */
static size_t segment_bytes_for(uint64_t low, uint64_t high) {
  uint64_t all = (high - low) / 16 + 2, root = root_of(high);
  uint64_t bytes = MIN_SEGMENT_BYTES;
  if (root >= SMALL_LIMIT)
    while (bytes < MAX_SEGMENT_BYTES && bytes * 4 < root)
      bytes *= 2;
  return (size_t)(bytes < all ? bytes : all);
}

size_t ccp_sieve_size(uint64_t low, uint64_t high) {
  return sizeof(ccp_sieve) + segment_bytes_for(low, high);
}

static inline void cross_out(unsigned char *bits, uint64_t i) {
  bits[i >> 3] = (unsigned char)(bits[i >> 3] | 1u << (i & 7));
}

/* The bit, counted from the odd number 'first', of the smallest odd multiple
** of 'p' that is there, p * p at least. */
static uint64_t first_multiple(uint64_t p, uint64_t first) {
  uint64_t rest, distance;
  if (p * p > first)
    return (p * p - first) / 2;
  rest = first % p;
  distance = rest ? p - rest : 0;
  return (distance % 2 ? distance + p : distance) / 2;
}

/* Crosses out the multiples of 'p' from bit 'i' on; returns the bit of the
** first one beyond. */
static inline uint64_t cross_multiples(unsigned char *bits, uint64_t n,
                                       uint64_t p, uint64_t i) {
  for (; i < n; i += p)
    cross_out(bits, i);
  return i;
}

static void fill_small(ccp_sieve *s) {
  unsigned char *bits = s->block;
  size_t n = 0;
  memset(bits, 0, SMALL_LIMIT / 16);
  for (uint32_t p = 3; p < SMALL_LIMIT; p += 2)
    if (!(bits[p >> 4] >> (p >> 1 & 7) & 1)) {
      s->small[n++] = (uint16_t)p;
      if (p < 256) /* bit i stands for 2i + 1 */
        (void)cross_multiples(bits, SMALL_LIMIT / 2, p, (uint64_t)p * p / 2);
    }
}

/* Byte k of the pattern is that of a segment that begins with 16k + 1. The
** primes of the pattern cross out themselves: segments take that back. */
static void fill_pattern(ccp_sieve *s) {
  memset(s->pattern, 0, PATTERN_BYTES);
  for (int i = 0; i < PATTERN_PRIMES; i++) {
    uint64_t p = s->small[i];
    (void)cross_multiples(s->pattern, PATTERN_BYTES * UINT64_C(8), p, p / 2);
  }
}

static void copy_pattern(const ccp_sieve *s, unsigned char *bits, size_t bytes,
                         uint64_t first) {
  size_t at = (size_t)(first / 16 % PATTERN_BYTES);
  while (bytes > 0) {
    size_t n = PATTERN_BYTES - at < bytes ? PATTERN_BYTES - at : bytes;
    memcpy(bits, s->pattern + at, n);
    bits += n;
    bytes -= n;
    at = 0;
  }
}

/* What the pattern gets wrong in the very first segment: 1, and its primes. */
static void mend_beginning(unsigned char *bits) {
  bits[0] = (unsigned char)((bits[0] | 1u) & ~0x6eu); /* 3 5 7 11 13 */
}

ccp_sieve *ccp_sieve_init(void *memory, uint64_t low, uint64_t high,
                          int is_pure) {
  ccp_sieve *s = memory;
  s->low = low;
  s->first = low - low % 16 + 1;
  s->bits = high < s->first || high < low ? 0 : (high - s->first) / 2 + 1;
  s->root = root_of(high);
  s->segment_bytes = segment_bytes_for(low, high);
  s->crosses_large = is_pure || s->root / 64 < high - low;
  fill_small(s);
  fill_pattern(s);
  for (s->small_n = 0; s->small_n < SMALL_PRIMES; s->small_n++) {
    uint64_t p = s->small[s->small_n];
    if (p > s->root)
      break;
    s->next[s->small_n] = (uint32_t)first_multiple(p, s->first);
  }
  return s;
}

static void cross_small(ccp_sieve *s, uint64_t bits) {
  for (size_t i = PATTERN_PRIMES; i < s->small_n; i++) {
    uint64_t next = s->next[i];
    next = cross_multiples(s->composite, bits, s->small[i], next);
    s->next[i] = (uint32_t)(next - bits);
  }
}

/* The composites among the odd numbers from 'first' on, in the block: of
** numbers up to 2^32, so that small primes do. */
static void sieve_block(ccp_sieve *s, uint64_t first) {
  copy_pattern(s, s->block, BLOCK_BYTES, first);
  for (size_t i = PATTERN_PRIMES; i < SMALL_PRIMES; i++) {
    uint64_t p = s->small[i];
    if (p * p > first + BLOCK_SPAN)
      break;
    (void)cross_multiples(s->block, BLOCK_BYTES * 8, p,
                          first_multiple(p, first));
  }
}

/* Crosses out the multiples of the primes from 2^16 up to the root. */
static void cross_large(ccp_sieve *s, uint64_t bits) {
  uint64_t last = s->first + 2 * (bits - 1);
  for (uint64_t first = SMALL_LIMIT + 1;
       first <= s->root && first * first <= last; first += BLOCK_SPAN) {
    sieve_block(s, first);
    for (uint64_t i = 0; i < BLOCK_BYTES * 8; i++) {
      uint64_t p = first + 2 * i;
      if (p > s->root || p * p > last)
        break;
      if (!(s->block[i >> 3] >> (i & 7) & 1))
        (void)cross_multiples(s->composite, bits, p,
                              first_multiple(p, s->first));
    }
  }
}

static void test_rest(ccp_sieve *s, uint64_t bits) {
  for (uint64_t i = 0; i < bits; i++)
    if (!(s->composite[i >> 3] >> (i & 7) & 1) &&
        !ccp_is_prime(s->first + 2 * i))
      cross_out(s->composite, i);
}

int ccp_sieve_next(ccp_sieve *s, ccp_segment *segment) {
  uint64_t bits = s->segment_bytes * UINT64_C(8);
  if (s->bits == 0)
    return 0;
  if (bits > s->bits)
    bits = s->bits;
  segment->composite = s->composite;
  segment->first = s->first;
  segment->bytes = (size_t)((bits + 7) / 8);
  copy_pattern(s, s->composite, segment->bytes, s->first);
  if (s->first == 1)
    mend_beginning(s->composite);
  for (uint64_t i = 0; s->first + 2 * i < s->low; i++) /* fewer than 8 */
    cross_out(s->composite, i);
  for (uint64_t i = bits; i < segment->bytes * UINT64_C(8); i++)
    cross_out(s->composite, i);
  cross_small(s, bits);
  if (s->root > SMALL_LIMIT && s->crosses_large)
    cross_large(s, bits);
  else if (s->root > SMALL_LIMIT)
    test_rest(s, bits);
  s->first += 2 * bits;
  s->bits -= bits;
  s->low = 0;
  return 1;
}

uint64_t ccp_segment_count(const ccp_segment *segment) {
  const unsigned char *at = segment->composite;
  uint64_t composites = 0, word;
  size_t left = segment->bytes;
  for (; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
    memcpy(&word, at, sizeof(word));
    composites += (uint64_t)__builtin_popcountll(word);
  }
  for (; left > 0; left--)
    composites += (uint64_t)__builtin_popcount(*at++);
  return segment->bytes * UINT64_C(8) - composites;
}
