/*
** The dumped functions of a pool: put once by its parent, read by its workers.
*/
#ifndef CCP_POOL_FUNCS_H
#define CCP_POOL_FUNCS_H

#include <stddef.h>
#include <stdint.h>

typedef struct ccp_shelf ccp_shelf;

/* NULL: no memory. Free with ccp_shelf_free once no worker reads it. */
ccp_shelf *ccp_shelf_new(void);
void ccp_shelf_free(ccp_shelf *s);

/* Names this shelf among all that a process and its ancestors made. */
uint64_t ccp_shelf_uid(const ccp_shelf *s);

/* Finds or keeps these bytes. CCP_OK and *id; CCP_E_FULL, CCP_E_NOMEM. Any
** thread that submits to the pool. */
int ccp_shelf_put(void *shelf, const void *dump, size_t len, uint64_t hash,
                  uint64_t *id);
/* The bytes of 'id'. CCP_OK or CCP_E_BADDATA. Any worker; lock-free. */
int ccp_shelf_get(void *shelf, uint64_t id, const void **dump, size_t *len);

#endif
