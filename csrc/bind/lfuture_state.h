/*
** A future's inside, for the lfuture files only.
*/
#ifndef CCP_BIND_LFUTURE_STATE_H
#define CCP_BIND_LFUTURE_STATE_H

#include "bind/lfuture.h"

#define CCP_FUTURE_MAGIC 0xf0707e01u

enum { INLINE_BYTES = 16, HOLD_FROM = 4096 };

enum future_state { PENDING, FINISHED, CANCELLED };

enum future_form {
  NONE,
  INLINE, /* the message lies in 'bytes' */
  TEXT,   /* outcome: the message as a string */
  HELD,   /* outcome: a userdata that owns the message */
  VALUE,  /* outcome: the one value */
  PACKED, /* outcome: table of the values, with n */
  FAILURE /* outcome: table { error, traceback } */
};

enum future_marks {
  WATCHED = 1, /* counted in ccp_pool_watch */
  LOOKED = 2   /* somebody asks, or will ask, for its error */
};

typedef struct ccp_future {
  uint32_t magic;
  uint8_t state, form, status;
  uint8_t len;     /* of 'bytes' */
  uint8_t extras;  /* what is kept is the table of extras */
  uint8_t marks;   /* WATCHED, LOOKED */
  uint16_t worker; /* when done: whose reply it is, counted from 1; or 0 */
  int32_t pid;     /* and that worker's */
  union {
    struct {
      ccp_task *task;     /* the pool's until delivered */
      ccp_handle *handle; /* borrowed */
    } pending;
    unsigned char bytes[INLINE_BYTES]; /* when done */
  } at;
} ccp_future;

/* The outcome of a HELD future. Its memory is given back once it is decoded and
** nobody reads it any more: what a registered `load` does may read it again. In
** a descendant it is a copy that owns nothing. */
typedef struct ccp_held {
  ccp_bytes bytes;
  int readers;
  uint32_t epoch;
  uint8_t status;
  uint8_t unheard; /* a failure that nobody looked at */
} ccp_held;

/* The future at argument 'arg'; raises an argument error. */
ccp_future *ccp_future_check(lua_State *L, int arg);
/* Raises an error in a process other than the one that submitted the task. */
void ccp_future_check_ours(lua_State *L, const ccp_future *f);
/* Looks whether it is done by now, without waiting. */
int ccp_future_refresh(lua_State *L, ccp_future *f);

/* Pushes error value and traceback or nil of a failed one. */
void ccp_future_push_failure(lua_State *L, ccp_future *f, int index);
/* f:attempts() */
int ccp_future_attempts(lua_State *L);

/* The bytes of a done one that nobody has decoded yet. What is pushed stays on
** the stack while they are read. */
const void *ccp_future_message(lua_State *L, const ccp_future *f, int index,
                               size_t *len);
/* Pushes the table of a PACKED one and its values; returns how many. */
int ccp_future_push_packed(lua_State *L, const ccp_future *f, int index);
/* The n values on the top are the outcome from now on. */
void ccp_future_keep_values(lua_State *L, ccp_future *f, int index, int n);

/* lfuture_travel.c: futures of the class at 'class_' (absolute) may be sent. */
void ccp_future_travels(lua_State *L, int class_);

/* Makes the table of what is kept. Once per state. */
void ccp_future_open_kept(lua_State *L);
/* What is kept for the future at 'index' (absolute): push it, or pop it anew.
 */
void ccp_future_push_kept(lua_State *L, int index);
void ccp_future_keep(lua_State *L, int index);
/* Its outcome, with extras or without. */
void ccp_future_push_outcome(lua_State *L, const ccp_future *f, int index);
void ccp_future_set_outcome(lua_State *L, const ccp_future *f, int index);
/* A callback, or an error that nobody looked at, is to be told of. */
void ccp_future_note(void);
/* Pushes the table of extras, made if need be. */
void ccp_future_push_extras(lua_State *L, ccp_future *f, int index);

/* lfuture_unheard.c: pushes a userdata that owns the bytes from now on and, if
** nobody has looked at them when it is collected, tells of them. */
void ccp_future_push_holder(lua_State *L, ccp_bytes *from, uint8_t status,
                            int unheard);
/* Somebody looks at the error of the future at 'index' (absolute). */
void ccp_future_looked(lua_State *L, ccp_future *f, int index);
/* Would its ending like that concern the program? */
int ccp_future_is_news(const ccp_future *f, uint8_t status);

/* lfuture_watch.c: adds its methods to the table on top of the stack. */
void ccp_future_watch_methods(lua_State *L);

#endif
