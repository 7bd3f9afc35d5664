/*
** The primes of a range, segment by segment. A sieve belongs to one thread.
*/
#ifndef CCP_MATH_SIEVE_H
#define CCP_MATH_SIEVE_H

#include <stddef.h>
#include <stdint.h>

typedef struct ccp_sieve ccp_sieve;

/* One bit for each odd number of the segment, set if it is no prime: bit j
** stands for first + 2j. Bits of numbers beyond the range are set, too. */
typedef struct ccp_segment {
  const unsigned char *composite; /* owned by the sieve, until the next one */
  uint64_t first;
  size_t bytes;
} ccp_segment;

/* How large the memory of a sieve for [low, high] has to be, in bytes. */
size_t ccp_sieve_size(uint64_t low, uint64_t high);

/* Begins with [low, high] in 'memory' of that size, aligned as malloc's is. If
** 'is_pure', no number is tested otherwise than by sieving, even where testing
** is faster. */
ccp_sieve *ccp_sieve_init(void *memory, uint64_t low, uint64_t high,
                          int is_pure);

/* Sieves the next segment; 0 if there is none. The number 2, which is in no
** segment, is the caller's. */
int ccp_sieve_next(ccp_sieve *s, ccp_segment *segment);

/* How many odd primes a segment holds. */
uint64_t ccp_segment_count(const ccp_segment *segment);

#endif
