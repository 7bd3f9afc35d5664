/*
** The Miller-Rabin test in Montgomery's arithmetic of 64 bits: residues are
** kept multiplied by R = 2^64. Any thread may be here; nothing is shared.
*/
#include "math/isprime.h"

/* The largest prime below 2^64. */
#define LAST_PRIME UINT64_C(18446744073709551557)

/* No composite below 2^64 is a strong pseudoprime to all of these (Jim
** Sinclair, 2011). */
static const uint64_t bases[] = {2,      325,     9375,      28178,
                                 450775, 9780504, 1795265022};
#define BASES (sizeof(bases) / sizeof(bases[0]))

/* A composite below the square of the prime that follows these has a factor
** among them. */
static const uint32_t small_primes[] = {3,  5,  7,  11, 13, 17, 19, 23,
                                        29, 31, 37, 41, 43, 47, 53};
#define SMALL_PRIMES (sizeof(small_primes) / sizeof(small_primes[0]))
#define SMALL_LIMIT UINT64_C(3481) /* 59 * 59 */

typedef struct modulus {
  uint64_t n;       /* odd */
  uint64_t inverse; /* n * inverse == 1 modulo R */
  uint64_t one;     /* R modulo n */
  uint64_t square;  /* R * R modulo n */
} modulus;

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 uint128;

static inline uint64_t high_of(uint64_t a, uint64_t b) {
  return (uint64_t)(((uint128)a * b) >> 64);
}
#else
static inline uint64_t high_of(uint64_t a, uint64_t b) {
  uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
  uint64_t left = a1 * b0, right = a0 * b1;
  uint64_t middle = (a0 * b0 >> 32) + (uint32_t)left + (uint32_t)right;
  return a1 * b1 + (left >> 32) + (right >> 32) + (middle >> 32);
}
#endif

/* a * b / R modulo n, for a * b < n * R. The low halves of a * b and of the
** multiple of n are equal, so the difference of the high halves is exact. */
static inline uint64_t multiply(const modulus *m, uint64_t a, uint64_t b) {
  uint64_t high = high_of(a, b);
  uint64_t multiple = high_of(a * b * m->inverse, m->n);
  return high < multiple ? high - multiple + m->n : high - multiple;
}

static modulus modulus_of(uint64_t n) {
  modulus m;
  uint64_t power;
  m.n = n;
  m.inverse = n; /* right in 3 bits; each step doubles them */
  for (int i = 0; i < 5; i++)
    m.inverse *= 2 - n * m.inverse;
  m.one = (0 - n) % n;
  /* 2R, squared six times: 2^64 * R. */
  power = m.one >= n - m.one ? m.one - (n - m.one) : m.one + m.one;
  for (int i = 0; i < 6; i++)
    power = multiply(&m, power, power);
  m.square = power;
  return m;
}

static uint64_t power_of(const modulus *m, uint64_t base, uint64_t exponent) {
  uint64_t square = multiply(m, base % m->n, m->square), power = m->one;
  for (; exponent; exponent >>= 1) {
    if (exponent & 1)
      power = multiply(m, power, square);
    square = multiply(m, square, square);
  }
  return power;
}

static int passes(const modulus *m, uint64_t base) {
  uint64_t minus_one = m->n - m->one, odd = m->n - 1, power;
  int twos = 0;
  if (base % m->n == 0)
    return 1; /* says nothing */
  for (; (odd & 1) == 0; odd >>= 1)
    twos++;
  power = power_of(m, base, odd);
  if (power == m->one || power == minus_one)
    return 1;
  while (--twos > 0) {
    power = multiply(m, power, power);
    if (power == minus_one)
      return 1;
  }
  return 0;
}

int ccp_is_prime(uint64_t n) {
  modulus m;
  if (n < 2 || n % 2 == 0)
    return n == 2;
  for (unsigned i = 0; i < SMALL_PRIMES; i++)
    if (n % small_primes[i] == 0)
      return n == small_primes[i];
  if (n < SMALL_LIMIT)
    return 1;
  m = modulus_of(n);
  for (unsigned i = 0; i < BASES; i++)
    if (!passes(&m, bases[i]))
      return 0;
  return 1;
}

uint64_t ccp_next_prime(uint64_t n) {
  if (n < 2)
    return 2;
  if (n >= LAST_PRIME)
    return 0;
  n += 1 + n % 2;
  while (!ccp_is_prime(n))
    n += 2;
  return n;
}
