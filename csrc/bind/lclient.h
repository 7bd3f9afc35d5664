/*
** A client: what one Lua state has to do with pools. It is anchored in the
** state's registry and owns the bell its state sleeps on, the store of its
** tasks, the table that keeps futures in flight, and the list of its pools.
**
** All of it belongs to the thread that runs the state.
*/
#ifndef CCP_BIND_LCLIENT_H
#define CCP_BIND_LCLIENT_H

#include <lauxlib.h>
#include <lua.h>

#include "bind/ldraft.h"
#include "codec/codec.h"
#include "pool/pool.h"
#include "task/store.h"

/* A pool in its client's list. It outlives the executor object: pending tasks
** of a dropped executor still run. */
typedef struct ccp_handle {
  struct ccp_handle *next;
  ccp_pool *pool;   /* owned, or with a party referred to; NULL once its client
                       is finalized */
  ccp_party *party; /* owned; NULL: the pool is this client's own */
  uint32_t objects; /* executors and maps that point here */
} ccp_handle;

typedef struct ccp_unheard ccp_unheard;

typedef struct ccp_want {
  int is_known;
  ccp_pool *pool; /* borrowed */
  ccp_task *task; /* borrowed; NULL: any */
} ccp_want;

typedef struct ccp_client {
  uint32_t epoch;
  ccp_bell *bell; /* owned: an arena block */
  ccp_ctx *codec; /* borrowed: lives as long as the state */
  ccp_store store;
  ccp_task *spare;         /* taken from the store, not in use yet */
  uintptr_t spare_for;     /* the frame of the submit that is about to use it */
  ccp_handle *handles;     /* owned */
  ccp_task *arrived;       /* taken from a pool, not delivered yet */
  ccp_drafts drafts;       /* which of these are in use */
  ccp_buf out[CCP_DRAFTS]; /* for encoding */
  uint32_t lent[CCP_DRAFTS]; /* objects that each names, see ccp_sharing_lent */
  uint64_t delivered;        /* futures and chunk news, ever: grows */
  int in_flight;             /* registry reference: task id -> future */
  uint64_t in_flight_n;
  lua_State *quiet;       /* a coroutine without hooks, anchored: see */
  int quiet_ref;          /* ccp_client_quietly */
  struct ccp_hand *hands; /* threads and processes by hand that were started */
  int callbacks;          /* registry reference: futures whose callbacks wait */
  lua_Integer callback_first, callback_n;
  int calling;              /* callbacks that run now, one within the other */
  struct ccp_calling *call; /* borrowed: of the innermost; or NULL */
  ccp_unheard *unheard; /* owned: errors to be reported, the last one first */
  struct ccp_client *next; /* list of all clients of the process */
  int listed;
  uint32_t guests;  /* handles with a party */
  ccp_want wants;   /* see ccp_client_wants */
  uint32_t helping; /* tasks that run inside of a wait */
  int leaked;       /* a thread that was left behind may still ring the bell */
} ccp_client;

/* Makes the table of futures in flight; pushes it. Once per state. */
void ccp_client_open(lua_State *L);

/* The state's client; made when there is none yet. May raise. */
ccp_client *ccp_client_get(lua_State *L);
/* The same, or NULL when there is none that belongs to this process. */
ccp_client *ccp_client_peek(lua_State *L);

/* Adds a pool that was just made; NULL: no memory (the pool is still the
** caller's). */
ccp_handle *ccp_client_add(ccp_client *c, ccp_pool *pool);

/* The handle of a pool that another state of this process owns: takes the
** reference over. NULL: no memory (it is still the caller's). */
ccp_handle *ccp_client_join(ccp_client *c, ccp_pool *pool);

/* The same, but as a party even if the pool is this state's own: links are no
** tasks of a store. */
ccp_handle *ccp_client_join_as_guest(ccp_client *c, ccp_pool *pool);

/* Runs t, or with NULL the newest of this state's tasks that have not started
** in pools of others, in this state. 0: there is none. -1: a hook has raised
** around it; its error is on the top, to be raised again. */
int ccp_client_help(lua_State *L, ccp_client *c, ccp_handle *h, ccp_task *t);

/* An object that points to the handle goes away. */
void ccp_handle_leave(ccp_handle *h);

/* Drains all pools and delivers what is completed. Raises nothing. */
void ccp_client_collect(lua_State *L, ccp_client *c);

/* Delivers what is completed in one pool, draining nothing. Raises nothing. */
void ccp_client_take(lua_State *L, ccp_client *c, ccp_handle *h);

/* Calls f with the n values on the top, which it pops, and drops results and
** error; returns the status. No hook runs meanwhile: what a signal's hook, or
** the program's own, would raise surfaces once the program goes on. So only
** want of memory makes our own functions fail. */
int ccp_client_quietly(lua_State *L, ccp_client *c, lua_CFunction f, int n);

/* Lets a hook run that a signal's handler has set; it may raise. */
void ccp_client_run_hooks(lua_State *L);

typedef int (*ccp_condition)(lua_State *L, void *ud);
/* The key of a task in the table of futures in flight. */
static inline lua_Integer ccp_task_key(const ccp_task *t) {
  return t->id ? (lua_Integer)t->id : (lua_Integer)(intptr_t)t;
}
/* A task that was delivered, or never submitted, goes back to where it is from.
 */
void ccp_client_give(ccp_client *c, ccp_task *t);

/* What the next ccp_client_wait without a time limit is for: the task of that
** pool, or with NULL any task that the state has submitted. Then it may find
** that nobody could ever end it. */
void ccp_client_wants(ccp_client *c, ccp_pool *pool, ccp_task *t);

/* Waits until done(L, ud), delivering and running callbacks meanwhile. CCP_OK,
** CCP_E_TIMEOUT, or CCP_E_DEADLOCK if it was told what it is for. Raises what a
** signal's hook raises. 'focus': the pool that is waited for, or NULL. */
int ccp_client_wait(lua_State *L, ccp_client *c, ccp_pool *focus,
                    int64_t deadline_ns, ccp_condition done, void *ud);

/* A sleep on the bell is no longer than this: a signal may come just before. */
enum { CCP_CLIENT_SLICE_NS = 100000000 };
/* Is there anything to be collected? */
int ccp_client_stirs(const ccp_client *c);

/* Lets the pools of the state's client finish their pending tasks and ends
** them. Never raises; blocks as long as the tasks take. */
void ccp_client_finish(lua_State *L);

/* Frees the pools that are closed and that nobody can ask for any more. */
void ccp_client_sweep(lua_State *L, ccp_client *c);

/* ---------------------------------------- what the objects' files provide */

/* lfuture.c: stores a finished call's reply in its future; raises nothing. */
void ccp_future_deliver(lua_State *L, ccp_client *c, ccp_task *t,
                        int in_flight);
/* lmap.c: a chunk has new replies, or is finished. */
void ccp_map_deliver(ccp_chunk *chunk);
/* lfuture_watch.c: runs the callbacks that wait; returns how many futures had
** some. Raises what a hook has raised inside of one: those behind it stay. */
int ccp_future_run_callbacks(lua_State *L, ccp_client *c);

/* lfuture_unheard.c: a finished call that is not delivered any more. */
void ccp_future_missed(ccp_client *c, ccp_task *t);
/* lfuture_unheard.c: reports what nobody looked at; raises nothing. */
void ccp_future_report_unheard(lua_State *L, ccp_client *c);

/* A buffer for encoding, empty, until it is given back; `frame`: CCP_FRAME of
** who does both, or of what that calls. Raises an error if too many are in use.
*/
static inline ccp_buf *ccp_client_draft(lua_State *L, ccp_client *c,
                                        uintptr_t frame) {
  int draft = ccp_drafts_begin(L, &c->drafts, frame);
  ccp_buf_reset(&c->out[draft]);
  c->lent[draft] = 0;
  return &c->out[draft];
}

static inline int ccp_client_draft_of(const ccp_client *c, const ccp_buf *out) {
  return (int)(out - c->out);
}

static inline void ccp_client_drafted(ccp_client *c, const ccp_buf *out) {
  ccp_drafts_end(&c->drafts, ccp_client_draft_of(c, out));
}

/* Encoded bodies too large for a slot's annex grow in arena blocks. */
extern const ccp_buf_blocks ccp_body_blocks;
/* Moves what was encoded into a task's body. CCP_OK, CCP_E_NOMEM. */
int ccp_body_from(ccp_bytes *body, ccp_buf *out);

/* The deadline that argument 'arg' (seconds, nil for ever) means. Raises an
** argument error. */
int64_t ccp_check_timeout(lua_State *L, int arg);

#endif
