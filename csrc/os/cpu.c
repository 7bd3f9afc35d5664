/*
** Processors: the affinity mask and the quota of the control group.
*/
#include "os/cpu.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ccp_cpu_affinity(void) {
  /* The kernel refuses a set smaller than its own: grow until it fits. */
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
    cpu_set_t *set = CPU_ALLOC((size_t)cpus);
    size_t size = CPU_ALLOC_SIZE((size_t)cpus);
    int n = 0;
    if (!set)
      return 1;
    if (sched_getaffinity(0, size, set) == 0)
      n = CPU_COUNT_S(size, set);
    CPU_FREE(set);
    if (n > 0)
      return n;
  }
  return 1;
}

/* "max 100000" or "200000 100000": processors rounded up, or INT_MAX. */
static int quota_in(const char *path) {
  char first[32];
  long long period = 100000, quota;
  FILE *f = fopen(path, "re");
  int fields;
  if (!f)
    return INT_MAX;
  fields = fscanf(f, "%31s %lld", first, &period);
  (void)fclose(f);
  if (fields < 1 || strcmp(first, "max") == 0 || period <= 0)
    return INT_MAX;
  quota = atoll(first);
  if (quota <= 0 || quota / period >= INT_MAX)
    return INT_MAX;
  return (int)((quota + period - 1) / period);
}

/* Version 2: the tightest cpu.max from our group up to the root. */
static int quota_v2(void) {
  char line[512], path[640], *group = NULL;
  int best = INT_MAX;
  FILE *f = fopen("/proc/self/cgroup", "re");
  if (!f)
    return INT_MAX;
  while (!group && fgets(line, (int)sizeof line, f))
    if (strncmp(line, "0::/", 4) == 0)
      group = line + 3;
  (void)fclose(f);
  if (!group)
    return INT_MAX;
  group[strcspn(group, "\n")] = '\0';
  for (;;) {
    char *cut;
    int q;
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
    q = quota_in(path);
    best = q < best ? q : best;
    cut = strrchr(group, '/');
    if (!cut)
      return best;
    *cut = '\0';
  }
}

static long long number_in(const char *path) {
  long long n = -1;
  FILE *f = fopen(path, "re");
  if (!f)
    return -1;
  if (fscanf(f, "%lld", &n) != 1)
    n = -1;
  (void)fclose(f);
  return n;
}

static int quota_v1(void) {
  long long quota = number_in("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  long long period = number_in("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (quota <= 0 || period <= 0 || quota / period >= INT_MAX)
    return INT_MAX;
  return (int)((quota + period - 1) / period);
}

int ccp_cpu_count(void) {
  int n = ccp_cpu_affinity(), q;
  if ((q = quota_v2()) < n)
    n = q;
  if ((q = quota_v1()) < n)
    n = q;
  return n > 0 ? n : 1;
}
