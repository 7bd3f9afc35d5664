/*
** A worker's reply ring: one producer (the worker), one consumer (whoever
** holds the pool's lock). Records are whole once 'head' says so; a worker that
** dies while it writes one leaves no trace of it.
*/
#ifndef CCP_TASK_REPLIES_H
#define CCP_TASK_REPLIES_H

#include <stddef.h>
#include <stdint.h>

#include "task/board.h"

enum {
  CCP_RING_BYTES = 256 << 10, /* a power of two */
  CCP_REPLY_BYTES = 64 << 10, /* longer replies lie in a block */
  CCP_NO_SLOT = 0xffff
};

enum ccp_reply_status {
  CCP_R_VALUES,      /* message of the values returned */
  CCP_R_ERROR,       /* message of the error value and the traceback */
  CCP_R_NOTSENDABLE, /* text: the path of what cannot travel; a zero
                        and, if a `save` raised something, that as a message */
  CCP_R_MEMORY,      /* text: out of memory */
  CCP_R_INIT,        /* the initializer failed: as CCP_R_ERROR */
  CCP_R_TRACE,       /* ccp_trace_note: about the reply that follows */
  /* never in a ring, only made by the parent */
  CCP_R_CRASH,     /* ccp_crash, and the task's name: the worker died */
  CCP_R_TIMEOUT,   /* text: its time was up */
  CCP_R_CANCELLED, /* nothing */
  CCP_R_SYSTEM,    /* text: what the system refused */
  CCP_R_BROKEN     /* the pool broke: status and bytes of the cause */
};

/* When an item ran. */
typedef struct ccp_trace_note {
  int64_t began_ns, ended_ns;
} ccp_trace_note;

typedef struct ccp_reply {
  uint16_t slot, item, lap;
  uint8_t status;
  uint8_t is_block;
  const void *bytes; /* in the ring: until ccp_replies_done; or a block */
  size_t len;
} ccp_reply;

/* ------------------------------------------------------------ the worker */

/* Room for a reply of 'len' bytes (at most CCP_REPLY_BYTES) now? */
int ccp_replies_room(const ccp_board *b, uint32_t me, size_t len);
/* Sleeps until there may be room. The caller has set 'full' and told who
** drains. */
void ccp_replies_wait(ccp_board *b, uint32_t me, size_t len);
/* Writes one reply; there must be room. Visible when this returns; a seq_cst
** operation. */
void ccp_replies_put(ccp_board *b, uint32_t me, const ccp_reply *r);
/* Is at least half of the ring unread? */
int ccp_replies_half(const ccp_board *b, uint32_t me);

/* ------------------------------------------------------------ the parent */

/* Any reply that the parent has not read? Needs no lock: a hint that is right
** about what was published before a seq_cst operation this thread saw. */
int ccp_replies_any(const ccp_board *b, uint32_t w);

/* A reader's place in a ring, private to the parent. */
typedef struct ccp_reader {
  uint64_t tail, head;
} ccp_reader;

/* Reads the next reply. CCP_OK, CCP_E_FULL (none left), CCP_E_BADDATA (bytes
** no worker in its right mind writes: give it up). */
int ccp_replies_next(const ccp_board *b, uint32_t w, ccp_reader *at,
                     ccp_reply *r);
/* A hint: the slot that the next record names, or -1. */
int ccp_replies_peek(const ccp_board *b, uint32_t w, const ccp_reader *at);
/* What was read may be overwritten now; wakes the worker if it waits for
** room. */
void ccp_replies_done(ccp_board *b, uint32_t w, const ccp_reader *at);
/* Wakes the worker if it waits for room, so that it looks again. */
void ccp_replies_make_room(ccp_board *b, uint32_t w);

#endif
