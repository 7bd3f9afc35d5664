/*
** Latches: what Lua code holds across its own calls. Lock and RLock are one
** each; arrays and dicts have one inside. A holder whose process died, or who
** can never release it any more, loses it; the next is told.
*/
#ifndef CCP_SHARED_LATCH_H
#define CCP_SHARED_LATCH_H

#include "shared/object.h"

enum { CCP_OWNER_DIED = 1 };

/* Under the mutex of the object that contains it. */
typedef struct ccp_latch {
  ccp_who owner; /* member 0: free */
  uint32_t depth;
  uint32_t died; /* the last owner did: the next is told */
  ccp_sleepers sleepers;
} ccp_latch;

typedef struct ccp_lockobj {
  ccp_object object;
  ccp_latch latch;
  uint32_t recursive; /* an RLock; written once */
} ccp_lockobj;

/* A new Lock or RLock; NULL: no memory. */
ccp_lockobj *ccp_lockobj_new(int recursive);

/* All of these take the object's mutex. acquire: CCP_OK, CCP_OWNER_DIED (held,
** too), CCP_E_TIMEOUT, CCP_E_INTR. Blocks. */
int ccp_latch_acquire(ccp_object *o, ccp_latch *l, ccp_who who, int recursive,
                      int64_t deadline_ns);
/* CCP_OK: free now; above 0: still held that deep; CCP_E_NOTHELD: nobody holds
** it, or with 'own', another. */
int ccp_latch_release(ccp_object *o, ccp_latch *l, ccp_who who, int own);
/* Releases it however deep; *depth is for the acquire that restores it. */
int ccp_latch_release_all(ccp_object *o, ccp_latch *l, ccp_who who, int own,
                          uint32_t *depth);
void ccp_latch_set_depth(ccp_object *o, ccp_latch *l, uint32_t depth);
/* Whether anybody holds it now. */
int ccp_latch_held(ccp_object *o, const ccp_latch *l);
/* The state ends: what it holds, it never releases. */
void ccp_latch_abandon(ccp_object *o, ccp_latch *l, ccp_who who);

/* Under the mutex: for `left` of the object. */
void ccp_latch_left(ccp_latch *l, uint32_t member);

#endif
