/*
** How long things took: counts by size, about a fifth of a size apart. One
** writer, any readers, in memory that processes may share; a reader may see a
** moment between two counts.
*/
#ifndef CCP_TASK_HISTOGRAM_H
#define CCP_TASK_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum {
  CCP_HIST_SUB = 4,                    /* buckets to a power of two */
  CCP_HIST_BUCKETS = CCP_HIST_SUB * 42 /* up to a day */
};

/* Every field: its one writer stores, others load, relaxed: nobody decides on
** it. */
typedef struct ccp_histogram {
  _Atomic uint64_t n, sum_ns;
  _Atomic uint64_t min_ns, max_ns; /* min_ns 0: none yet */
  _Atomic uint32_t count[CCP_HIST_BUCKETS];
} ccp_histogram;

/* Counts 'weight' times that long. */
void ccp_histogram_add(ccp_histogram *h, int64_t ns, uint32_t weight);
/* Adds what 'from' counted; 'to' has no other writer. */
void ccp_histogram_merge(ccp_histogram *to, const ccp_histogram *from);
void ccp_histogram_clear(ccp_histogram *h);
/* The time that a share (0 to 1) of the counts do not exceed; 0 if empty. */
uint64_t ccp_histogram_quantile(const ccp_histogram *h, double share);

#endif
