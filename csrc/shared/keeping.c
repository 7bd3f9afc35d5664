/*
** Which objects are kept by messages that are stored. Any thread of any
** process.
*/
#include "shared/keeping.h"

#include "os/codes.h"
#include "os/fault.h"
#include "shared/directory.h"

void ccp_keeping_begin(void) {
  (void)ccp_member_me();
  (void)ccp_directory_lock(); /* a container has one */
  ccp_directory_moving(1);
}

void ccp_keeping_end(void) {
  CCP_FAULT("keep");
  ccp_directory_moving(0);
  ccp_directory_unlock();
}

static void count(ccp_object *o, int by) {
  CCP_FAULT("keep");
  if (o && (by > 0 || o->kept > 0))
    o->kept += (uint32_t)by;
}

void ccp_keeping_stored(const unsigned char *end, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    count(ccp_object_find_locked(ccp_name_before(end, i)), 1);
}

/* All or none: first the room, then the handles. */
int ccp_keeping_hand(const unsigned char *end, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (!ccp_directory_count_room(ccp_name_before(end, i).index))
      return CCP_E_NOMEM;
  for (uint32_t i = 0; i < n; i++) {
    ccp_object *o = ccp_object_find_locked(ccp_name_before(end, i));
    if (o)
      (void)ccp_object_hold_locked(o);
  }
  return CCP_OK;
}

void ccp_keeping_dropped(const unsigned char *end, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    count(ccp_object_find_locked(ccp_name_before(end, i)), -1);
}

void ccp_keeping_gone(const unsigned char *end, uint32_t n) {
  ccp_keeping_dropped(end, n);
  ccp_object_orphan_locked();
}

void ccp_keeping_release(const unsigned char *end, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    ccp_object_release(ccp_name_before(end, i));
}

/* What is half freed still keeps what its messages name, until its fini goes
** on. */
void ccp_keeping_recount_locked(void) {
  uint32_t end = ccp_directory_end();
  for (uint32_t i = 0; i < end; i++) {
    ccp_object *o = ccp_directory_at(i);
    if (o)
      o->kept = 0;
  }
  for (uint32_t i = 0; i < end; i++) {
    ccp_object *o = ccp_directory_at(i);
    if (!o || !ccp_object_ops_of(o)->names)
      continue;
    ccp_object_lock(o);
    ccp_object_ops_of(o)->names(o, ccp_keeping_stored);
    ccp_object_unlock(o);
  }
}
