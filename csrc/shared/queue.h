/*
** Queues of messages between threads and processes: first in, first out, with
** a bound, an end, and a count of what is not done yet.
**
** The records lie in a chain of segments, arena blocks of SEGMENT bytes. A
** message of up to CCP_ITEM_INLINE bytes lies in its record; a larger one in an
** arena block of its own, of which the record has the address. A record counts
** from the moment its segment's 'written' passes it, until 'read' does: one
** store each, so a process may die anywhere in here. The counts follow from the
** records and are made anew by the repair. A message that names objects keeps
** them from one of these stores to the other: see shared/keeping.h.
*/
#ifndef CCP_SHARED_QUEUE_H
#define CCP_SHARED_QUEUE_H

#include "shared/object.h"

enum {
  CCP_ITEM_PREFIX = 16,  /* bytes before each message: the queue's own */
  CCP_ITEM_INLINE = 4096 /* prefix included */
};

typedef struct ccp_segment ccp_segment;

typedef struct ccp_queue {
  ccp_object object;
  uint64_t maxsize; /* 0: no bound; written once */
  /* under the object's mutex */
  ccp_segment *head, *tail, *spare; /* owned */
  uint64_t dones;                   /* items said to be done */
  /* counts; relaxed: read without the mutex only by who searches */
  _Atomic uint64_t puts, taken;
  _Atomic uint32_t closed;
  ccp_sleepers getters, putters, joiners;
} ccp_queue;

/* A message on its way. */
typedef struct ccp_item_out {
  unsigned char *data; /* begins with CCP_ITEM_PREFIX bytes for the queue */
  size_t len;          /* with them */
  int is_block;        /* data is an arena block, which the queue takes over */
  uint32_t names;      /* object names behind the message, counted in len */
} ccp_item_out;

ccp_queue *ccp_queue_new(uint64_t maxsize);
/* CCP_OK; CCP_E_CLOSED; CCP_E_NOMEM; CCP_E_TIMEOUT, CCP_E_INTR: it is full.
** Blocks. The caller holds the objects that the message names. */
int ccp_queue_put(ccp_queue *q, const ccp_item_out *item, int64_t deadline_ns);

typedef struct ccp_item_in {
  unsigned char *data; /* the message with its prefix: 'room' or a block */
  size_t len;
  void *block; /* is the caller's, who is to hand-drop and free it; or NULL */
  uint32_t names; /* at its end; the caller is to ccp_keeping_release them */
} ccp_item_in;

/* Takes the first message; room must have CCP_ITEM_INLINE bytes. CCP_OK;
** CCP_E_CLOSED: closed and empty; CCP_E_TIMEOUT, CCP_E_INTR: empty;
** CCP_E_NOMEM: for handles of what it names. Blocks. */
int ccp_queue_get(ccp_queue *q, unsigned char *room, ccp_item_in *item,
                  int64_t deadline_ns);
void ccp_queue_close(ccp_queue *q);
uint64_t ccp_queue_size(ccp_queue *q);
int ccp_queue_is_closed(const ccp_queue *q);
/* One item is done. CCP_OK, or CCP_E_NOTHELD: more often than items came. */
int ccp_queue_done(ccp_queue *q);
/* Waits until all are. CCP_OK, CCP_E_TIMEOUT, CCP_E_INTR. Blocks. */
int ccp_queue_join(ccp_queue *q, int64_t deadline_ns);

#endif
