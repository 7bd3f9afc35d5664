/*
** Named points where a debug build can be made to die or to run out of
** memory: CCP_FAULT=point:n acts at the n-th passage of that point, in
** the process that gets there. Other builds have no trace of it.
*/
#ifndef CCP_OS_FAULT_H
#define CCP_OS_FAULT_H

/* SIGKILLs this process if its turn has come. Debug builds only. */
void ccp_fault_kill(const char *point);

#ifdef CCP_DEBUG
#define CCP_FAULT(point) ccp_fault_kill(point)
#else
#define CCP_FAULT(point) ((void)0)
#endif

#endif
