/*
** Monotonic time in nanoseconds, and deadlines on it.
*/
#ifndef CCP_OS_CLOCK_H
#define CCP_OS_CLOCK_H

#include <stdint.h>

#define CCP_NEVER INT64_MAX
#define CCP_NS_PER_S 1000000000LL

/* The monotonic clock now. Any thread; never blocks. */
int64_t ccp_clock_now_ns(void);

/* The moment 'seconds' from now: CCP_NEVER for infinity or for what lies
** beyond the clock, now or earlier for zero and less. */
int64_t ccp_clock_deadline_ns(double seconds);

/* Tells the processor that this is a spin loop. */
static inline void ccp_clock_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
