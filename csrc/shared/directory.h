/*
** The directory: which shared objects and which member processes there are.
** For object.c only.
*/
#ifndef CCP_SHARED_DIRECTORY_H
#define CCP_SHARED_DIRECTORY_H

#include <stdint.h>

#include "shared/object.h"

/* Takes the directory's mutex, repairing what a dead holder left. False: there
** is no directory. */
int ccp_directory_lock(void);
void ccp_directory_unlock(void);

/* ---- under the mutex */

/* Gives the object an index and an id and counts it once; false: no memory. */
int ccp_directory_add(ccp_object *o);
ccp_object *ccp_directory_at(uint32_t index);
/* Forgets the object there. */
void ccp_directory_clear(uint32_t index);
/* All indices lie below. */
uint32_t ccp_directory_end(void);
/* Changes the count of handles of this process by 1 or -1; returns it. -1: no
** memory, or a handle of what is gone. */
long ccp_directory_count(ccp_object_name name, int by);
/* Sees to it that the next ccp_directory_count cannot fail; false: no memory.
 */
int ccp_directory_count_room(uint32_t index);
/* Set while messages that name objects move, or are freed: the counts of who
** is kept may be wrong. Who finds the mutex abandoned then counts anew. */
void ccp_directory_moving(int on);
/* True if this process forked within the last two seconds, and after
** then_ns. */
int ccp_directory_forked_since(int64_t then_ns);

/* ---- object.c, under the mutex */

void ccp_object_sweep_locked(void);
/* What has that name; NULL: it is gone. */
ccp_object *ccp_object_find_locked(ccp_object_name name);
const ccp_object_ops *ccp_object_ops_of(const ccp_object *o);
/* What kept others was freed: they are looked at before the free ends. */
void ccp_object_orphan_locked(void);
/* One handle more of this process; false: no memory. */
int ccp_object_hold_locked(ccp_object *o);
/* Ends what a dead member held. True: all of it; without patience, an object
** that others keep for long is left as it is. */
int ccp_object_bury_locked(uint32_t member, int patient);
/* *ok: the member holds the object from now on. */
void ccp_object_adopt_locked(ccp_object_name name, uint32_t member, int *ok);

/* ---- keeping.c, under the mutex */

/* Counts anew which objects are kept. */
void ccp_keeping_recount_locked(void);

#endif
