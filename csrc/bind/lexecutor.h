/*
** Executors, for the files of this folder.
*/
#ifndef CCP_BIND_LEXECUTOR_H
#define CCP_BIND_LEXECUTOR_H

#include "bind/lclient.h"
#include "bind/lserial.h"
#include "task/rules.h"

#define CCP_EXECUTOR_MAGIC 0xe8ec0705u

enum { CCP_QUICK_BYTES = 12 };

/* What submit does while as many tasks wait as may. */
enum ccp_overflow { CCP_OVER_BLOCK, CCP_OVER_ERROR, CCP_OVER_CALLER_RUNS };

typedef struct ccp_executor {
  uint32_t magic;
  uint32_t max_workers;
  uint32_t epoch;        /* of the process that made it, or runs inline by it */
  ccp_client *client;    /* borrowed: anchored in that process's registry */
  ccp_handle *handle;    /* borrowed; NULL: runs inline */
  uint8_t queue_limited; /* the pool has a max_queue */
  uint8_t overflow;      /* enum ccp_overflow */
  int shut;              /* runs inline: takes no more */
  int broken; /* runs inline: the initializer failed, with the error in
                 the user value */
  /* the function sent last, if it always encodes to the same bytes; anchored
  ** by the user value */
  const void *quick_fn;
  uint8_t quick_len;
  unsigned char quick[CCP_QUICK_BYTES];
  ccp_inline by_caller; /* what runs inline */
} ccp_executor;

/* The executor behind argument 'arg': the object's table holds it at 1. */
ccp_executor *ccp_executor_check(lua_State *L, int arg);

/* The same, and leaves its userdata on the stack. */
ccp_executor *ccp_executor_push(lua_State *L, int arg);

/* As ccp_encode_call, for its pool, which is lent the objects that the values
** name: the message is read until the pool's end. `out` is a draft of the
** client's. Raises. */
int ccp_executor_encode(lua_State *L, ccp_executor *ex, int first, int n,
                        const char *noun, ccp_buf *out);

/* How many workers it may have now: other states may resize it. */
uint32_t ccp_executor_size(const ccp_executor *ex);

/* Raises the error that a submit to this executor gave. */
int ccp_executor_raise(lua_State *L, ccp_executor *ex, int code);

/* The rules of the view at argument 'arg' (its table holds them at 2), or NULL
** for an executor. */
const ccp_rules *ccp_rules_check(lua_State *L, int arg);

/* Gives a task the rules of a view, its deadline counted from now. CCP_OK or
** CCP_E_NOMEM. */
int ccp_rules_apply(ccp_task *t, const ccp_rules *view);

/* Waits until another task may be queued. Raises what a hook raises. */
void ccp_executor_wait_for_room(lua_State *L, ccp_executor *ex);

/* Raises BrokenExecutorError or ShutdownError if the inline executor, whose
** userdata is at index 'self', takes no more calls. */
void ccp_executor_check_inline(lua_State *L, ccp_executor *ex, int self);

/* The same for an executor with a pool. */
void ccp_executor_check_open(lua_State *L, ccp_executor *ex);

/* Checks that argument 'arg' is something a worker can call. */
void ccp_check_target(lua_State *L, int arg);

/* Add functions to the module table on top of the stack. */
void ccp_executor_functions(lua_State *L);
void ccp_executor_self_functions(lua_State *L);
void ccp_map_functions(lua_State *L);
void ccp_rules_functions(lua_State *L);
void ccp_crew_functions(lua_State *L);
void ccp_stats_function(lua_State *L);
/* At the indices: the metatable of futures, the table of those in flight. */
void ccp_submit_function(lua_State *L, int class_, int in_flight);

#endif
