/*
** Named points where a debug build can be made to die, and allocations that it
** can be made to lose. CCP_FAULT=point:n acts at the n-th passage of the point;
** CCP_FAULT_ALLOC=n at the n-th allocation of ours and, with n+, at all that
** follow; in each process that gets there. Other builds have no trace of it.
*/
#ifndef CCP_OS_FAULT_H
#define CCP_OS_FAULT_H

/* SIGKILLs this process if its turn has come. Debug builds only. */
void ccp_fault_kill(const char *point);

/* Has this allocation to fail? Debug builds only. */
int ccp_fault_no_memory(void);

#ifdef CCP_DEBUG
#define CCP_FAULT_NO_MEMORY() ccp_fault_no_memory()
#define CCP_FAULT(point) ccp_fault_kill(point)
#else
#define CCP_FAULT_NO_MEMORY() 0
#define CCP_FAULT(point) ((void)0)
#endif

#endif
