/*
** What the userdata of all shared objects have in common: the handle, how it
** travels, and how a Lua state waits on one.
**
** All of it belongs to the thread that runs the state.
*/
#ifndef CCP_BIND_LSHARED_H
#define CCP_BIND_LSHARED_H

#include <lauxlib.h>
#include <lua.h>

#include "bind/ldraft.h"
#include "codec/buf.h"
#include "codec/codec.h"
#include "shared/latch.h"
#include "shared/object.h"

typedef struct ccp_shared {
  ccp_object *object; /* shared: one reference; NULL once closed */
  ccp_object_name name;
  uint32_t epoch; /* of the process that last used it */
  uint32_t maker; /* of the process that made it */
} ccp_shared;

typedef struct ccp_shared_class {
  const char *tname; /* "ccpool.Lock" */
  enum ccp_kind kind;
  const luaL_Reg *methods;
  lua_CFunction make;     /* the constructor */
  lua_CFunction close;    /* __close; NULL: gives up the handle */
  lua_CFunction index;    /* __index and __newindex; NULL: methods only. */
  lua_CFunction newindex; /* index has the methods as upvalue 1 */
  lua_CFunction len;
} ccp_shared_class;

/* Adds the class to the table on top of the stack, the core module's:
** core[Name] = methods, core.shared[Name] = constructor; and to the codec. */
void ccp_shared_add_class(lua_State *L, const ccp_shared_class *c);

/* Pushes a handle without an object, of that class; one uservalue, nil. */
ccp_shared *ccp_shared_push(lua_State *L, const char *tname);
/* Fills it with a new object; raises MemoryLimitError for NULL. */
void ccp_shared_set(lua_State *L, ccp_shared *h, void *object);

/* Pushes another handle of the same object; raises. */
void ccp_shared_again(lua_State *L, const ccp_shared *h, const char *tname);
/* Gives up the handle, whatever its class. */
void ccp_shared_close(ccp_shared *h);

/* The object of argument 'arg'. Raises an argument error for another type and
** ClosedError for a handle that was closed. */
void *ccp_shared_check(lua_State *L, int arg, const char *tname);
/* The same for a handle at hand. */
void *ccp_shared_object(lua_State *L, ccp_shared *h, const char *tname);
/* Pushes nil and an error object; returns 2. */
int ccp_shared_fail(lua_State *L, const char *kind, const char *message);

/* ---------------------------------------------------------- the state */

typedef struct ccp_tracked {
  ccp_object_name name;
  uint32_t kind;
} ccp_tracked;

typedef struct ccp_names {
  ccp_tracked *list; /* owned, malloc */
  size_t n, cap;
} ccp_names;

/* What a Lua state has to do with shared objects; in its registry. */
typedef struct ccp_sharing {
  uint32_t number; /* of this state in its process; never 0 */
  uint32_t epoch;
  ccp_ctx *codec;
  ccp_names held;  /* latches it holds: lost when the state ends */
  ccp_names track; /* a handle of each object in the message encoded last */
  ccp_buf out;     /* its bytes */
  int stored;      /* above 0: what is decoded was stored in a queue or dict */
  ccp_drafts drafts; /* the messages that are being encoded: */
  ccp_names tracks[CCP_DRAFTS];
  ccp_buf outs[CCP_DRAFTS];
} ccp_sharing;

ccp_sharing *ccp_sharing_get(lua_State *L);
ccp_who ccp_sharing_who(const ccp_sharing *s);
void ccp_sharing_holds(ccp_sharing *s, const ccp_object *o);
void ccp_sharing_dropped(ccp_sharing *s, const ccp_object *o);

/* Acquires a latch for this state, waiting as a Lua function does. CCP_OK,
** CCP_OWNER_DIED, CCP_E_TIMEOUT. Raises what a hook raises. */
int ccp_sharing_acquire(lua_State *L, ccp_sharing *s, ccp_object *o,
                        ccp_latch *l, int recursive, int64_t deadline_ns);
int ccp_sharing_release(ccp_sharing *s, ccp_object *o, ccp_latch *l, int own);

/* Functions of the core module, for specs. */
int ccp_sharing_stats(lua_State *L);
int ccp_sharing_reap(lua_State *L);

/* ---------------------------------------------------------- waiting */

/* A wait is a loop: do { rc = try(until(w)); } while (ccp_wait_again(L, &w,
** rc)); where 'try' blocks no longer than it is told. */
typedef struct ccp_wait {
  int64_t deadline_ns, until_ns;
  int first;
} ccp_wait;

ccp_wait ccp_wait_begin(int64_t deadline_ns);
int64_t ccp_wait_until(lua_State *L, ccp_wait *w);
/* True: try again. Raises what a hook raises. */
int ccp_wait_again(lua_State *L, ccp_wait *w, int rc);
/* The same, but an error of a hook is left on the stack: then *raised. */
int ccp_wait_again_safely(lua_State *L, ccp_wait *w, int rc, int *raised);

/* The deadline of argument 'arg', or 'for ever' when it is absent. */
int64_t ccp_wait_check(lua_State *L, int arg);

/* ---------------------------------------------------------- messages */

struct ccp_client;
struct ccp_pool;

/* Encodes the value at 'at' behind 'prefix' zero bytes in s->out, and behind it
** the names of the objects in it, of which s->track has handles; returns how
** many. Raises NotSendableError. */
uint32_t ccp_sharing_encode(lua_State *L, ccp_sharing *s, int at,
                            const char *noun, size_t prefix);
/* What the saving of an object means, as ccp_what's `purpose`: that it is lent
** to the call in that draft of the client, or kept by what that draft of the
** sharing stores. 0: it is in transit. */
#define CCP_LENT_TO(draft) ((draft) + 1)
#define CCP_STORED_BY(draft) (-1 - (draft))
#define CCP_DRAFT_LENT(purpose) ((purpose)-1)
#define CCP_DRAFT_STORED(purpose) (-1 - (purpose))

/* The call of a task is lent the objects that it names: saving one makes
** another handle of it. Pushes the table of these handles, to be kept until the
** task is through: until then the call may be read, any number of times or
** never, and nobody has to count that. Nil if there are none. */
void ccp_sharing_lent(lua_State *L, struct ccp_client *c, int draft);
/* Adds the handle on the top, and pops it. */
void ccp_sharing_lend(lua_State *L, struct ccp_client *c, int draft);
/* Closes the handles in the table on the top, or nil, and pops it. */
void ccp_sharing_return(lua_State *L);
/* The same for a message that the pool's workers read until its end: the pool
** takes the handles over. Raises. */
void ccp_sharing_lend_pool(lua_State *L, struct ccp_client *c, int draft,
                           struct ccp_pool *pool);

/* Gives these handles up: the message was stored, or never will be. */
void ccp_sharing_untrack(ccp_names *track);

/* Pushes the value of a stored message. Raises. */
void ccp_sharing_decode(lua_State *L, ccp_sharing *s, const void *p,
                        size_t len);
/* The same for one that names objects, in protected mode: the status, and the
** value or the error on the stack. */
int ccp_sharing_decode_safely(lua_State *L, ccp_sharing *s, const void *p,
                              size_t len);

#endif
