/*
** Monotonic time in nanoseconds. Any thread.
*/
#include "os/clock.h"

#include <math.h>
#include <time.h>

int64_t ccp_clock_now_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * CCP_NS_PER_S + ts.tv_nsec;
}

int64_t ccp_clock_deadline_ns(double seconds) {
  const double longest = 9.0e9; /* 285 years: still far from overflow */
  int64_t now = ccp_clock_now_ns();
  if (seconds >= longest)
    return CCP_NEVER;
  if (seconds <= 0)
    return now;
  return now + (int64_t)ceil(seconds * (double)CCP_NS_PER_S);
}
