/*
** Latches, and the objects Lock and RLock. Any thread of any process.
*/
#include "shared/latch.h"

#include "os/codes.h"

/* A death between two stores leaves a latch that is held by the dead, or free:
** both are states of a latch. */
static void lock_repair(ccp_object *o) {
  (void)o;
}

static void lock_left(ccp_object *o, uint32_t member, int died) {
  (void)died;
  ccp_latch_left(&((ccp_lockobj *)(void *)o)->latch, member);
}

static void lock_fini(ccp_object *o) {
  (void)o;
}

const ccp_object_ops ccp_lock_ops = {lock_repair, lock_left, lock_fini, NULL};

ccp_lockobj *ccp_lockobj_new(int recursive) {
  ccp_lockobj *l = ccp_object_new(CCP_K_LOCK, sizeof *l);
  if (l)
    l->recursive = (uint32_t)recursive;
  return l;
}

static void free_latch(ccp_latch *l) {
  l->depth = 0;
  l->owner.state = 0;
  l->owner.member = 0; /* the last store: from here on it is free */
}

static int is_owner(const ccp_latch *l, ccp_who who) {
  return l->owner.member == who.member && l->owner.state == who.state;
}

static int try_acquire(ccp_latch *l, ccp_who who, int recursive) {
  int died;
  if (l->owner.member && recursive && is_owner(l, who)) {
    l->depth++;
    return CCP_OK;
  }
  if (l->owner.member) {
    if (ccp_member_known(l->owner.member))
      return CCP_E_FULL;
    l->died = 1;
    free_latch(l);
  }
  died = l->died != 0;
  l->depth = 1;
  l->owner.state = who.state;
  l->owner.member = who.member;
  l->died = 0;
  return died ? CCP_OWNER_DIED : CCP_OK;
}

int ccp_latch_acquire(ccp_object *o, ccp_latch *l, ccp_who who, int recursive,
                      int64_t deadline_ns) {
  int rc, slept = CCP_OK;
  ccp_object_lock(o);
  while ((rc = try_acquire(l, who, recursive)) == CCP_E_FULL && slept == CCP_OK)
    slept = ccp_sleep(o, &l->sleepers, deadline_ns);
  ccp_object_unlock(o);
  return rc == CCP_E_FULL ? slept : rc;
}

static int may_release(const ccp_latch *l, ccp_who who, int own) {
  return l->owner.member && (!own || is_owner(l, who));
}

int ccp_latch_release(ccp_object *o, ccp_latch *l, ccp_who who, int own) {
  uint32_t wake = 0;
  int rc = CCP_E_NOTHELD;
  ccp_object_lock(o);
  if (may_release(l, who, own)) {
    rc = (int)--l->depth;
    if (rc == CCP_OK) {
      free_latch(l);
      wake = ccp_sleepers_call(&l->sleepers, 1);
    }
  }
  ccp_object_unlock(o);
  ccp_sleepers_wake(&l->sleepers, wake);
  return rc;
}

int ccp_latch_release_all(ccp_object *o, ccp_latch *l, ccp_who who, int own,
                          uint32_t *depth) {
  uint32_t wake = 0;
  int ok;
  ccp_object_lock(o);
  ok = may_release(l, who, own);
  if (ok) {
    *depth = l->depth;
    free_latch(l);
    wake = ccp_sleepers_call(&l->sleepers, 1);
  }
  ccp_object_unlock(o);
  ccp_sleepers_wake(&l->sleepers, wake);
  return ok ? CCP_OK : CCP_E_NOTHELD;
}

void ccp_latch_set_depth(ccp_object *o, ccp_latch *l, uint32_t depth) {
  ccp_object_lock(o);
  l->depth = depth;
  ccp_object_unlock(o);
}

int ccp_latch_held(ccp_object *o, const ccp_latch *l) {
  int yes;
  ccp_object_lock(o);
  yes = l->owner.member != 0;
  ccp_object_unlock(o);
  return yes;
}

static void abandon_locked(ccp_latch *l) {
  l->died = 1;
  free_latch(l);
  ccp_sleepers_wake(&l->sleepers, ccp_sleepers_call(&l->sleepers, 1));
}

void ccp_latch_abandon(ccp_object *o, ccp_latch *l, ccp_who who) {
  ccp_object_lock(o);
  if (l->owner.member && is_owner(l, who))
    abandon_locked(l);
  ccp_object_unlock(o);
}

void ccp_latch_left(ccp_latch *l, uint32_t member) {
  if (l->owner.member == member)
    abandon_locked(l);
}
