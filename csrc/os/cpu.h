/*
** How many processors this program may use.
*/
#ifndef CCP_OS_CPU_H
#define CCP_OS_CPU_H

/* Processors in the affinity mask, no more than the cgroup's CPU quota
** rounded up; at least 1. Reads files; not for hot paths. */
int ccp_cpu_count(void);

/* Processors in the affinity mask of this thread, at least 1. */
int ccp_cpu_affinity(void);

#endif
