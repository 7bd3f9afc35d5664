/*
** A task: one call, or a chunk of calls to one function, from submit until
** its replies are delivered. It lies in the parent's private memory. Which
** fields the pool's lock guards is said below; the rest belongs to the Lua
** thread that submitted it.
*/
#ifndef CCP_TASK_TASK_H
#define CCP_TASK_TASK_H

#include <stddef.h>
#include <stdint.h>

#include "task/bytes.h"
#include "task/replies.h"

enum ccp_task_state {
  CCP_T_NEW,      /* the submitter's */
  CCP_T_BACKLOG,  /* waits for room on the board */
  CCP_T_POSTED,   /* lies on the board; the slot's word tells if it runs */
  CCP_T_FINISHED, /* all replies are in */
};

typedef struct ccp_task ccp_task;
typedef struct ccp_rules ccp_rules;
struct ccp_task {
  ccp_task *next, *prev; /* pool's lock: in the backlog */
  ccp_task *completed;   /* pool's lock: next in the completed list; a chunk may
                            be in both */
  ccp_task *taken;       /* the owner's: next of those it took */
  void *owner;           /* borrowed: the future or the map it belongs to */
  ccp_rules *rules;      /* owned; NULL for most */
  int64_t submitted_ns;  /* or 0: its waiting is not measured */
  uint32_t id;           /* its number in its store; 0 for chunks */
  uint32_t items;        /* pool's lock: calls in it */
  uint32_t done;         /* pool's lock: replies so far */
  uint32_t base;         /* pool's lock: items before the posted body's first */
  uint32_t posted;       /* pool's lock: items of the posted body */
  int fd;                /* pool's lock: rung when finished, or -1; borrowed */
  int32_t pid;           /* one call: of the worker whose reply it has */
  uint16_t worker;       /* one call: and its index, counted from 1; or 0 */
  int16_t slot;          /* pool's lock: where it lies, or -1 */
  uint8_t state;         /* pool's lock */
  uint8_t status;        /* one call: how it ended (enum ccp_reply_status) */
  uint8_t is_chunk;      /* the task is the first member of a ccp_chunk */
  uint8_t listed;        /* pool's lock: in the completed list */
  uint8_t final;         /* the owner's: taken when finished, so never again */
  uint8_t looped;        /* pool's lock: its end rings the owner's loop_fd */
  ccp_bytes body;        /* the encoded call; once finished, one call's reply */
};

typedef struct ccp_chunk ccp_chunk;
struct ccp_chunk {
  ccp_task task;
  uint64_t first;     /* index of its first item, for its owner */
  ccp_bytes replies;  /* pool's lock: those that the owner has not taken */
  ccp_chunk *segment; /* pool's lock: the items behind, split off */
  /* the owner's */
  ccp_chunk *behind; /* next of those it has to read */
  ccp_bytes reading; /* replies it took */
  size_t at;         /* of them, where the next begins */
  uint32_t read;     /* items read */
  uint32_t known;    /* items it has, when last looked */
  uint8_t finished;  /* when last looked */
  uint8_t queued;    /* is in its owner's list */
  uint8_t news;      /* was delivered since last looked */
  ccp_chunk *ready;  /* next of those with news */
};

/* Form of a body: one byte tells which. One call: the message of function and
** arguments. A chunk: the message of the function alone, then those of each
** item's arguments, every one behind its length in 4 bytes. */
enum { CCP_BODY_CALL = 1, CCP_BODY_CHUNK = 2 };

/* Replies of a chunk, one after the other: this head, then 'len' bytes. An
** arena block stands as its address, with is_block set; whoever takes the
** replies owns it. */
typedef struct ccp_item_head {
  uint64_t len;
  uint8_t status;
  uint8_t is_block;
} ccp_item_head;

/* CCP_R_CRASH's bytes. */
typedef struct ccp_crash {
  int32_t pid, worker;
  int32_t exitcode, signal; /* signal 0: it exited */
} ccp_crash;

/* Makes an empty task; no memory of its own yet. */
void ccp_task_init(ccp_task *t);
/* Frees what it holds. */
void ccp_task_fini(ccp_task *t);

/* An empty chunk of that many items, or NULL. */
ccp_chunk *ccp_chunk_new(void *owner, uint64_t first, uint32_t items);
/* Frees it, blocks among its replies included. */
void ccp_chunk_free(ccp_chunk *c);
static inline ccp_chunk *ccp_chunk_of(ccp_task *t) {
  return (ccp_chunk *)(void *)t;
}

/* The body of a chunk of items [from, to) of 'body', counted from its first.
** CCP_OK, CCP_E_NOMEM. */
int ccp_chunk_body_part(const ccp_bytes *body, uint32_t from, uint32_t to,
                        ccp_bytes *out);
/* Adds one item's reply. CCP_OK or CCP_E_NOMEM: then this one and all that
** follow count as replies without memory, and the block stays the caller's. */
int ccp_chunk_add_reply(ccp_chunk *c, uint8_t status, const void *p, size_t len,
                        int is_block);

#endif
