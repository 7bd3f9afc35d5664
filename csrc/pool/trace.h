/*
** A trace of what the workers did, in the form that Chrome's trace viewer
** reads: one row per worker, one slice per item.
*/
#ifndef CCP_POOL_TRACE_H
#define CCP_POOL_TRACE_H

#include <stdint.h>

typedef struct ccp_trace ccp_trace;

/* Opens the file. NULL: errno tells. */
ccp_trace *ccp_trace_open(const char *path, int is_process);
/* Writes what is left and closes. 0, or the errno of the first write that
** failed. Frees. */
int ccp_trace_close(ccp_trace *t);

/* Adds an item. Only memory is touched; the caller's lock guards it. */
void ccp_trace_item(ccp_trace *t, uint32_t worker, int32_t pid,
                    const char *name, uint64_t number, int64_t began_ns,
                    int64_t ended_ns);
/* The row's name. */
void ccp_trace_worker(ccp_trace *t, uint32_t worker, int32_t pid,
                      const char *pool);
/* Is there enough to be written? */
int ccp_trace_is_due(const ccp_trace *t);
/* Writes what was added so far. Under the same lock as the adding: it may
** block as long as the file does. */
void ccp_trace_flush(ccp_trace *t);

#endif
