/*
** The directory of shared objects: references, messages in transit, and what
** dead members leave behind. Any thread of any process. A process may die at
** any instruction: each step commits with one store, and who finds the
** directory's mutex abandoned repairs what was left between two.
*/
#include "shared/object.h"

#include <string.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/fault.h"
#include "os/futex.h"
#include "shared/arena.h"
#include "shared/directory.h"

#define LEASE_NS (10 * CCP_NS_PER_S)
#define PENDING_NS (3600 * CCP_NS_PER_S)

static const ccp_object_ops *const ops[CCP_K_COUNT] = {
    [CCP_K_LOCK] = &ccp_lock_ops,           //
    [CCP_K_SEMAPHORE] = &ccp_semaphore_ops, //
    [CCP_K_EVENT] = &ccp_event_ops,         //
    [CCP_K_CONDITION] = &ccp_condition_ops, //
    [CCP_K_BARRIER] = &ccp_barrier_ops,     //
    [CCP_K_ARRAY] = &ccp_array_ops,         //
    [CCP_K_QUEUE] = &ccp_queue_ops,         //
    [CCP_K_DICT] = &ccp_dict_ops};

/* ------------------------------------------------------------ the mutex */

void ccp_object_lock(ccp_object *o) {
  if (ccp_mutex_lock(&o->mutex))
    ops[o->kind]->repair(o);
}

void ccp_object_unlock(ccp_object *o) {
  ccp_mutex_unlock(&o->mutex);
}

/* Whoever calls sleepers has counted them down; who leaves by itself does it
** here. */
int ccp_sleep(ccp_object *o, ccp_sleepers *s, int64_t deadline_ns) {
  uint32_t word = atomic_load(&s->word);
  int rc;
  if (deadline_ns <= 0)
    return CCP_E_TIMEOUT;
  s->asleep++;
  ccp_object_unlock(o);
  rc = ccp_futex_wait(&s->word, word, deadline_ns);
  ccp_object_lock(o);
  if (rc != CCP_OK && s->asleep > 0)
    s->asleep--;
  return rc;
}

uint32_t ccp_sleepers_call(ccp_sleepers *s, uint32_t n) {
  if (n > s->asleep)
    n = s->asleep;
  s->asleep -= n;
  if (n > 0)
    atomic_fetch_add(&s->word, 1);
  return n;
}

void ccp_sleepers_wake(ccp_sleepers *s, uint32_t n) {
  if (n > 0)
    ccp_futex_wake(&s->word, n < INT32_MAX ? (int)n : CCP_WAKE_ALL);
}

/* ------------------------------------------------------------ references */

static uint64_t bit_of(uint32_t member) {
  return (uint64_t)1 << (ccp_member_slot(member) % 64);
}

static uint64_t *word_of(ccp_object *o, uint32_t member) {
  return &o->holders[ccp_member_slot(member) / 64];
}

static int held(const ccp_object *o) {
  for (size_t i = 0; i < CCP_MEMBERS / 64; i++)
    if (o->holders[i])
      return 1;
  return o->kept > 0;
}

/* The id goes first: a death in here is seen by it, and the rest is done by the
** repair, which counts anew what is kept by the messages that are left. */
static void free_locked(ccp_object *o) {
  uint32_t index = o->index;
  int stores = ops[o->kind]->names != NULL;
  atomic_store(&o->id, 0);
  if (stores)
    ccp_directory_moving(1);
  CCP_FAULT("keep");
  ops[o->kind]->fini(o);
  CCP_FAULT("keep");
  if (stores)
    ccp_directory_moving(0);
  ccp_directory_clear(index);
  ccp_arena_free(o);
}

/* An object that was never sent has no message that could name it. */
static int may_go(const ccp_object *o, int64_t now) {
  int64_t since = now - o->touched_ns;
  if (held(o))
    return 0;
  return !o->sent || since > PENDING_NS || (!o->pending && since > LEASE_NS);
}

/* What is freed may have been all that kept others. */
static int orphans; /* under the directory's mutex */

void ccp_object_sweep_locked(void) {
  uint32_t end = ccp_directory_end();
  int64_t now = ccp_clock_now_ns();
  do {
    orphans = 0;
    for (uint32_t i = 0; i < end; i++) {
      ccp_object *o = ccp_directory_at(i);
      if (o && (atomic_load(&o->id) == 0 || may_go(o, now)))
        free_locked(o);
    }
  } while (orphans);
}

static void free_all_locked(ccp_object *o) {
  free_locked(o);
  if (orphans)
    ccp_object_sweep_locked();
}

void ccp_object_sweep(void) {
  if (!ccp_directory_lock())
    return;
  ccp_object_sweep_locked();
  ccp_directory_unlock();
}

/* Gives up the object's mutex. The bit goes last: whoever dies before that
** leaves all of it to be done again. */
static void leave_locked(ccp_object *o, uint32_t member, int died) {
  ops[o->kind]->left(o, member, died);
  ccp_object_unlock(o);
  *word_of(o, member) &= ~bit_of(member);
}

static int is_holder(ccp_object *o, uint32_t member) {
  return (*word_of(o, member) & bit_of(member)) != 0;
}

static int lock_for(ccp_object *o, int patient) {
  int rc = 0;
  if (patient)
    ccp_object_lock(o);
  else if ((rc = ccp_mutex_try(&o->mutex)) == 1)
    ops[o->kind]->repair(o);
  return rc >= 0;
}

int ccp_object_bury_locked(uint32_t member, int patient) {
  uint32_t end = ccp_directory_end();
  int all = 1;
  for (uint32_t i = 0; i < end; i++) {
    ccp_object *o = ccp_directory_at(i);
    if (!o || atomic_load(&o->id) == 0 || !is_holder(o, member))
      continue;
    if (lock_for(o, patient))
      leave_locked(o, member, 1);
    else
      all = 0;
  }
  ccp_object_sweep_locked();
  return all;
}

ccp_object *ccp_object_find_locked(ccp_object_name name) {
  ccp_object *o = ccp_directory_at(name.index);
  return o && name.id != 0 && atomic_load(&o->id) == name.id ? o : NULL;
}

const ccp_object_ops *ccp_object_ops_of(const ccp_object *o) {
  return ops[o->kind];
}

void ccp_object_orphan_locked(void) {
  orphans = 1;
}

void ccp_object_adopt_locked(ccp_object_name name, uint32_t member, int *ok) {
  ccp_object *o = ccp_object_find_locked(name);
  *ok = o != NULL;
  if (o)
    *word_of(o, member) |= bit_of(member);
}

/* It is in the hands of this process until it is in the directory: its first
** word is its id. */
void *ccp_object_new(enum ccp_kind kind, size_t size) {
  static _Atomic uint32_t made; /* relaxed: only now and then */
  uint32_t me = ccp_member_me();
  ccp_object *o = me ? ccp_arena_alloc_zeroed(size) : NULL;
  if (atomic_fetch_add_explicit(&made, 1, memory_order_relaxed) % 64 == 63)
    ccp_object_reap();
  if (me && !o) {
    ccp_object_sweep();
    o = ccp_arena_alloc_zeroed(size);
  }
  if (!o)
    return NULL;
  ccp_hand_hold(o);
  CCP_FAULT("keep");
  o->kind = kind;
  o->made_ns = ccp_clock_now_ns();
  *word_of(o, me) |= bit_of(me);
  if (ccp_mutex_init(&o->mutex) != CCP_OK || !ccp_directory_lock()) {
    ccp_hand_drop(o);
    ccp_arena_free(o);
    return NULL;
  }
  if (!ccp_directory_add(o)) {
    ccp_directory_unlock();
    ccp_hand_drop(o);
    ccp_arena_free(o);
    return NULL;
  }
  if (o->index % 64 == 63)
    ccp_object_sweep_locked();
  ccp_directory_unlock();
  return o;
}

int ccp_object_hold_locked(ccp_object *o) {
  uint32_t me = ccp_member_me();
  ccp_object_name name = {atomic_load(&o->id), o->index};
  if (ccp_directory_count(name, 1) < 0)
    return 0;
  *word_of(o, me) |= bit_of(me);
  CCP_FAULT("keep");
  return 1;
}

ccp_object *ccp_object_take(ccp_object_name name, enum ccp_kind kind,
                            int received) {
  ccp_object *o;
  if (!ccp_member_me() || !ccp_directory_lock())
    return NULL;
  o = ccp_object_find_locked(name);
  if (o && (o->kind != kind || !ccp_object_hold_locked(o)))
    o = NULL;
  if (o && received) {
    o->pending -= o->pending > 0;
    o->touched_ns = ccp_clock_now_ns();
  }
  ccp_directory_unlock();
  return o;
}

/* A child that was forked a moment ago may not have had the time to take what
** it inherited: then the object is kept for as long as one just sent. */
void ccp_object_release(ccp_object_name name) {
  uint32_t me = ccp_member_me();
  ccp_object *o;
  if (!me || !ccp_directory_lock())
    return;
  if (ccp_directory_count(name, -1) == 0 &&
      (o = ccp_object_find_locked(name)) != NULL) {
    if (is_holder(o, me)) {
      ccp_object_lock(o);
      leave_locked(o, me, 0);
      CCP_FAULT("keep");
    }
    if (ccp_directory_forked_since(o->made_ns)) {
      o->sent = 1;
      o->touched_ns = ccp_clock_now_ns();
    }
    if (may_go(o, ccp_clock_now_ns()))
      free_all_locked(o);
  }
  ccp_directory_unlock();
}

int ccp_object_inherited(ccp_object_name name) {
  uint32_t me = ccp_member_me();
  int ok = 0;
  ccp_object *o;
  if (!me || !ccp_directory_lock())
    return 0;
  o = ccp_object_find_locked(name);
  if (o)
    ok = (*word_of(o, me) & bit_of(me)) != 0;
  ccp_directory_unlock();
  return ok;
}

void ccp_object_sent(ccp_object_name name) {
  ccp_object *o;
  if (!ccp_directory_lock())
    return;
  o = ccp_object_find_locked(name);
  if (o) {
    o->pending++;
    o->sent = 1;
    o->touched_ns = ccp_clock_now_ns();
  }
  ccp_directory_unlock();
}
