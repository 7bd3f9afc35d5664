/*
** Shared objects: what a queue, a lock, an array have in common. Each is a
** block of the arena that any process of the family may use.
**
** Who holds an object: each process that uses shared objects is a *member*
** with a number below CCP_MEMBERS, and each object has one bit for each
** member. How many handles a process has is counted in its own memory; the bit
** is set with the first and cleared with the last. So a death needs no
** counting back: whoever finds a member dead clears its bit everywhere (see
** ccp_object_reap), and an object without bits is freed.
**
** In transit: a message names an object by index and id, checked when it is
** decoded, so a stale message finds nothing and touches nothing. The objects of
** a task's call are held by its sender until it is through. Else sending counts
** one message as pending, receiving takes it back; an object that nobody holds
** is kept for LEASE_NS after its last sending or receiving, for a message may
** be decoded more than once, and for PENDING_NS while a message was never
** received. A queue or dict that stores a message holds its objects instead
** ('kept', see shared/keeping.h).
**
** Locks: the directory's mutex before an object's; never two objects' at once.
*/
#ifndef CCP_SHARED_OBJECT_H
#define CCP_SHARED_OBJECT_H

#include <stddef.h>
#include <stdint.h>

#include "shared/mutex.h"

enum { CCP_MEMBERS = 896 }; /* processes that use shared objects at once */

enum ccp_kind {
  CCP_K_LOCK = 1,
  CCP_K_SEMAPHORE,
  CCP_K_EVENT,
  CCP_K_CONDITION,
  CCP_K_BARRIER,
  CCP_K_ARRAY,
  CCP_K_QUEUE,
  CCP_K_DICT,
  CCP_K_COUNT
};

/* How a message names an object. */
typedef struct ccp_object_name {
  uint64_t id;
  uint32_t index;
} ccp_object_name;

typedef struct ccp_object {
  _Atomic uint64_t id; /* never used twice; 0 once it is being freed */
  uint32_t index;      /* in the directory */
  uint32_t kind;
  /* under the directory's mutex */
  uint32_t pending, kept, sent;
  int64_t touched_ns; /* sent or received last */
  int64_t made_ns;    /* written once */
  uint64_t holders[CCP_MEMBERS / 64];
  ccp_mutex mutex; /* guards what each kind adds */
} ccp_object;

/* What a kind of object provides; each under the object's mutex, but fini. */
typedef struct ccp_object_ops {
  /* A holder of the mutex died: makes it whole again. May be called twice. */
  void (*repair)(ccp_object *o);
  /* That member will use the object no more. died: it did not let go by
  ** itself. */
  void (*left)(ccp_object *o, uint32_t member, int died);
  /* Frees what the object owns; each pointer is forgotten before it is freed.
  ** Nobody else knows the object any more. Under the directory's mutex. */
  void (*fini)(ccp_object *o);
  /* Calls f for the names that end at 'end' of each message that it stores;
  ** NULL: it stores none. Also between steps of fini. */
  void (*names)(ccp_object *o, void (*f)(const unsigned char *end, uint32_t n));
} ccp_object_ops;

extern const ccp_object_ops ccp_lock_ops, ccp_semaphore_ops, ccp_event_ops,
    ccp_condition_ops, ccp_barrier_ops, ccp_array_ops, ccp_queue_ops,
    ccp_dict_ops;

/* A new object of 'size' zeroed bytes that begin with a ccp_object, held once
** by this process; NULL: no memory. Any thread. */
void *ccp_object_new(enum ccp_kind kind, size_t size);

/* Takes the object that a message names, if it is of that kind: one more handle
** of this process. NULL: there is none any more. With 'received', a message
** that was sent has come in. */
ccp_object *ccp_object_take(ccp_object_name name, enum ccp_kind kind,
                            int received);
/* One handle less; frees the object if it was the last. 'name' is that of the
** handle: in a child, the object may be long gone. */
void ccp_object_release(ccp_object_name name);
/* In a child: true if a handle that was inherited may still be used. */
int ccp_object_inherited(ccp_object_name name);
/* A message that names the object was made. */
void ccp_object_sent(ccp_object_name name);

/* Takes the object's mutex and repairs it if need be. */
void ccp_object_lock(ccp_object *o);
void ccp_object_unlock(ccp_object *o);

/* The number of this process and what tells it from an earlier one with that
** number; 0: there are too many. Never blocks for long. */
uint32_t ccp_member_me(void);
/* False only for a process that was found dead, or is no member any more. */
int ccp_member_known(uint32_t member);
static inline uint32_t ccp_member_slot(uint32_t member) {
  return member & 1023;
}

/* Looks for members that died, and lets go what they held; at most every 50 ms
** in the whole family. Called by who waits. */
void ccp_object_reap(void);
/* The same, at once. */
void ccp_object_reap_now(void);
/* The process has ended: lets go what it held, unless others are in the way for
** long, a stopped process say. Then it is left to those who wait. */
void ccp_object_reap_process(int32_t pid);

/* A block in the hands of this process, which is freed if the process dies
** before it lets go and the block's first word is still 0: who links the block
** to an object sets it first, so that a death between the two loses a block and
** never frees one twice. Both lock-free. */
void ccp_hand_hold(void *block);
void ccp_hand_drop(void *block);

/* Objects there are, members there are. For tests. */
void ccp_object_stats(uint32_t *objects, uint32_t *members);
/* Frees now what nobody holds and no message is likely to name. For tests, and
** for who finds the arena full. */
void ccp_object_sweep(void);

/* Who does something to an object: a Lua state of a process. */
typedef struct ccp_who {
  uint32_t member, state;
} ccp_who;

/* Sleepers on an object's change. Under the object's mutex, but for the wake. A
** sleeper that dies leaves 'asleep' too high: that costs a wake-up, no more. */
typedef struct ccp_sleepers {
  _Atomic uint32_t word; /* futex: grows with every wake-up */
  uint32_t asleep;
} ccp_sleepers;

/* Gives up the object's mutex, sleeps, takes it again. CCP_OK: look again;
** CCP_E_TIMEOUT, CCP_E_INTR. Deadline 0: does not sleep. */
int ccp_sleep(ccp_object *o, ccp_sleepers *s, int64_t deadline_ns);
/* Says under the mutex how many of at most n sleepers are to be woken; ... */
uint32_t ccp_sleepers_call(ccp_sleepers *s, uint32_t n);
/* ... and wakes them, best after the mutex was given up. */
void ccp_sleepers_wake(ccp_sleepers *s, uint32_t n);

#endif
