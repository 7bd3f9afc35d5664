/*
** Prime test, exact for every number below 2^64. Any thread may be here.
*/
#ifndef CCP_MATH_ISPRIME_H
#define CCP_MATH_ISPRIME_H

#include <stdint.h>

/* 1 if 'n' is prime, else 0. */
int ccp_is_prime(uint64_t n);

/* The smallest prime above 'n'; 0 if that is not below 2^64. */
uint64_t ccp_next_prime(uint64_t n);

#endif
