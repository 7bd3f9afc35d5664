/*
** Threads and processes by hand: what both have in common. A hand belongs to
** the thread of the Lua state that made it, which is the only one to hold it;
** the thread that it stands for shares the few fields that say so.
*/
#ifndef CCP_BIND_LHAND_H
#define CCP_BIND_LHAND_H

#include <lua.h>

#include "bind/lclient.h"
#include "os/lock.h"
#include "os/thread.h"
#include "worker/vm.h"

enum ccp_hand_state { CCP_H_NEW, CCP_H_RUNNING, CCP_H_ENDED };

/* In the arena. Written by a child just before it exits, read after its end:
** release, acquire. */
typedef struct ccp_note {
  _Atomic int32_t exitcode;
} ccp_note;

typedef struct ccp_hand {
  struct ccp_hand *next; /* in its client's list */
  uint32_t refs;         /* the object and the list */
  uint32_t epoch;
  uint8_t is_process, daemon, closed;
  char *name;        /* owned */
  ccp_thread thread; /* the thread; or the one that waits for the process */
  /* enum ccp_hand_state. ENDED is set by 'thread' under the lock, seq_cst,
  ** before it changes the bell's word; read by the owner without the lock */
  _Atomic uint32_t state;
  /* number of the thread or the process, 0 before there is one; a futex.
  ** Written by a thread for its owner, by the owner for the thread that waits
  ** for a process (release, acquire) */
  _Atomic uint32_t id;

  ccp_lock lock;
  ccp_bell *bell; /* lock: of the client, borrowed; NULL once that is gone */
  int fd;         /* lock: readable once it has ended, or -1; owned */

  /* a thread; 'reply' and 'status' are the thread's until it has ended */
  ccp_plan plan;
  ccp_self self;
  ccp_running base;
  ccp_buf call, reply;
  uint8_t status; /* enum ccp_reply_status */

  /* a process */
  ccp_note *note;           /* owned arena block */
  int exit_known, exitcode; /* lock: until it has ended */
} ccp_hand;

/* Adds to the core module what lua/ccpool/hand.lua works with. */
void ccp_hand_functions(lua_State *L);

/* The same of lthread.c and lprocess.c. */
void ccp_thread_functions(lua_State *L);
void ccp_process_functions(lua_State *L);

/* current() outside of any worker: kind, nil, name, pid in a thread ('self') or
** process by hand, else nothing. */
int ccp_hand_current(lua_State *L, const ccp_self *self);
/* The name of the process by hand that this process is, or NULL. */
const char *ccp_process_hand_name(void);
/* Is it this very process? */
int ccp_process_is_self(const ccp_hand *h);

/* Argument 'arg', a hand that was made by this process. Raises. */
ccp_hand *ccp_hand_check(lua_State *L, int arg);
/* The same of one that was not started and is not closed; frees what has ended,
** and readies the client. */
ccp_hand *ccp_hand_check_new(lua_State *L, int arg);

static inline uint32_t ccp_hand_state(const ccp_hand *h) {
  return atomic_load_explicit(&h->state, memory_order_seq_cst);
}

/* It runs from now on: the client holds it. */
void ccp_hand_started(ccp_client *c, ccp_hand *h);
/* In its thread, whose last act it is: it has ended. The lock is held. */
void ccp_hand_ended_locked(ccp_hand *h);

/* Asks a running one to stop; SIGKILL insists. Does not wait. */
void ccp_thread_interrupt(ccp_hand *h, int insist);
void ccp_process_signal(ccp_hand *h, int sig);

/* Writes an uncaught error to standard error; 'text' has the traceback. */
void ccp_hand_report(const char *kind, const char *name, const char *text);
/* Message handler with the hand as its upvalue (light userdata): reports the
** error and keeps the traceback, as ccp_caller_traceback does. */
int ccp_hand_traceback(lua_State *L);

/* -------------------------------------------------- at the end of a client */

/* Does any run that is no daemon? */
int ccp_hands_open(const ccp_client *c);
/* Ends the daemons. Blocks for the grace period at most, if a thread is stuck
** in C code; no Lua runs. */
void ccp_hands_end(ccp_client *c);
/* The client goes away, in whatever process. */
void ccp_hands_leave(ccp_client *c);

/* What a new thread's state needs, as the first messages of a prelude: preloads
** and modules to require, both tables in the one at index `at`; the registered
** types. Replaces what is in `out`: by nothing, if there are none of them and
** they need not be there `always`. CCP_OK or as ccp_encode. */
int ccp_encode_setup(lua_State *L, int at, ccp_buf *out, const ccp_funcs *funcs,
                     int always);

#endif
