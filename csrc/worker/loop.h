/*
** The worker's loop: claim a call, hand out its items, write the replies, and
** sleep when there is nothing to do. The same for threads and processes.
*/
#ifndef CCP_WORKER_LOOP_H
#define CCP_WORKER_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "task/board.h"
#include "task/replies.h"

typedef struct ccp_item {
  const unsigned char *fn; /* a chunk: the function's message; else NULL */
  size_t fn_len;
  const unsigned char *args; /* one call: message of function and arguments;
                                a chunk's item: of the arguments */
  size_t args_len;
  int first; /* begins a call: a function kept from before is another's */
} ccp_item;

typedef struct ccp_loop {
  ccp_board *board;
  uint32_t me;
  int in_chunk;
  int is_unfit;   /* a broadcast from before its birth failed */
  int in_news;    /* what runs is a broadcast */
  ccp_news *news; /* the last one heard */
  uint32_t tasks;
  uint32_t paced;      /* items begun when the pace was last taken */
  uint32_t pace_every; /* items between two looks at the clock */
  int64_t paced_ns;    /* and when that was */
  int64_t began_ns;    /* of the item, if somebody wants to know */
  int64_t rss;         /* after its first item */
  ccp_claim claim;
  ccp_item item;
  const unsigned char *rest, *end; /* of the chunk's body */
} ccp_loop;

void ccp_loop_init(ccp_loop *l, ccp_board *b, uint32_t me);

/* The next item to run; blocks. The one before must have been replied to. 0:
** the worker shall end. */
const ccp_item *ccp_loop_next(ccp_loop *l);

/* Replies to the current item. 'block' is the arena block that holds the
** bytes, or NULL; with a block, the reply's reader owns it from now on. Blocks
** while the ring is full. */
void ccp_loop_reply(ccp_loop *l, uint8_t status, const void *p, size_t len,
                    void *block);

#endif
