/*
** Histograms of times; see histogram.h for who may be here.
*/
#include "task/histogram.h"

enum { SHIFT = 2, LINEAR = CCP_HIST_SUB }; /* log2 of CCP_HIST_SUB */

/* The first few sizes have a bucket each, then each power of two has
** CCP_HIST_SUB of them. */
static unsigned bucket_of(uint64_t ns) {
  unsigned log2, at;
  if (ns < LINEAR)
    return (unsigned)ns;
  log2 = 63u - (unsigned)__builtin_clzll(ns);
  at = (log2 - SHIFT + 1) * CCP_HIST_SUB +
       (unsigned)(ns >> (log2 - SHIFT) & (CCP_HIST_SUB - 1));
  return at < CCP_HIST_BUCKETS ? at : CCP_HIST_BUCKETS - 1;
}

/* The middle of a bucket. */
static uint64_t size_of(unsigned bucket) {
  unsigned log2 = bucket / CCP_HIST_SUB + SHIFT - 1;
  uint64_t low, width;
  if (bucket < LINEAR)
    return bucket;
  width = (uint64_t)1 << (log2 - SHIFT);
  low = ((uint64_t)1 << log2) + width * (bucket % CCP_HIST_SUB);
  return low + width / 2;
}

static uint64_t get(const _Atomic uint64_t *at) {
  return atomic_load_explicit(at, memory_order_relaxed);
}

static void set(_Atomic uint64_t *at, uint64_t value) {
  atomic_store_explicit(at, value, memory_order_relaxed);
}

static void widen(ccp_histogram *h, uint64_t min, uint64_t max) {
  if (get(&h->min_ns) == 0 || min < get(&h->min_ns))
    set(&h->min_ns, min);
  if (max > get(&h->max_ns))
    set(&h->max_ns, max);
}

void ccp_histogram_add(ccp_histogram *h, int64_t ns, uint32_t weight) {
  uint64_t size = ns > 0 ? (uint64_t)ns : 1;
  _Atomic uint32_t *count = &h->count[bucket_of(size)];
  set(&h->n, get(&h->n) + weight);
  set(&h->sum_ns, get(&h->sum_ns) + size * weight);
  widen(h, size, size);
  atomic_store_explicit(
      count, atomic_load_explicit(count, memory_order_relaxed) + weight,
      memory_order_relaxed);
}

void ccp_histogram_merge(ccp_histogram *to, const ccp_histogram *from) {
  if (get(&from->n) == 0)
    return;
  set(&to->n, get(&to->n) + get(&from->n));
  set(&to->sum_ns, get(&to->sum_ns) + get(&from->sum_ns));
  widen(to, get(&from->min_ns), get(&from->max_ns));
  for (int i = 0; i < CCP_HIST_BUCKETS; i++)
    atomic_store_explicit(
        &to->count[i],
        atomic_load_explicit(&to->count[i], memory_order_relaxed) +
            atomic_load_explicit(&from->count[i], memory_order_relaxed),
        memory_order_relaxed);
}

void ccp_histogram_clear(ccp_histogram *h) {
  set(&h->n, 0);
  set(&h->sum_ns, 0);
  set(&h->min_ns, 0);
  set(&h->max_ns, 0);
  for (int i = 0; i < CCP_HIST_BUCKETS; i++)
    atomic_store_explicit(&h->count[i], 0, memory_order_relaxed);
}

uint64_t ccp_histogram_quantile(const ccp_histogram *h, double share) {
  uint64_t total = 0, want, seen = 0, ns = 0;
  for (int i = 0; i < CCP_HIST_BUCKETS; i++)
    total += atomic_load_explicit(&h->count[i], memory_order_relaxed);
  if (total == 0)
    return 0;
  want = (uint64_t)(share * (double)total);
  want += (double)want < share * (double)total || want < 1;
  for (unsigned i = 0; i < CCP_HIST_BUCKETS && seen < want; i++) {
    seen += atomic_load_explicit(&h->count[i], memory_order_relaxed);
    ns = size_of(i);
  }
  ns = ns < get(&h->min_ns) ? get(&h->min_ns) : ns;
  return ns > get(&h->max_ns) ? get(&h->max_ns) : ns;
}
