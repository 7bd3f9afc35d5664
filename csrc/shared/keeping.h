/*
** What is stored keeps the objects that it names. Any thread of any process.
**
** The invariant: whenever the directory's mutex is free, an object's 'kept' is
** the number of its names in messages that lie in queues and dicts. The
** messages are the truth and the counts follow from them. So a message that
** names objects is stored, taken out or replaced between ccp_keeping_begin and
** ccp_keeping_end only, which hold the mutex; and if a process dies in between,
** whoever gets the mutex next counts all messages anew.
**
** On its way into a container or out of it, a message keeps nothing: the
** process that has it holds its objects, by handles that are counted in its own
** memory. So a death at any point leaves nothing to be counted back:
**
**   - encoding, waiting for room: the handles go with the member's bit;
**   - in between: as said;
**   - after a message was taken, copied or replaced: ccp_keeping_hand has
**     given this process the handles before the message keeps its objects no
**     more.
*/
#ifndef CCP_SHARED_KEEPING_H
#define CCP_SHARED_KEEPING_H

#include <string.h>

#include "shared/object.h"

/* The names of a message's objects are its last bytes. */
static inline ccp_object_name ccp_name_before(const unsigned char *end,
                                              uint32_t i) {
  ccp_object_name name;
  memcpy(&name, end - (i + 1) * sizeof name, sizeof name);
  return name;
}

/* Takes the directory's mutex, which comes before any object's; and gives it
** up. */
void ccp_keeping_begin(void);
void ccp_keeping_end(void);

/* ---- in between: for the n names that end at 'end' */

/* The message is stored now. */
void ccp_keeping_stored(const unsigned char *end, uint32_t n);
/* This process holds a handle for each name, to be given up by
** ccp_keeping_release. CCP_OK, or CCP_E_NOMEM: none. */
int ccp_keeping_hand(const unsigned char *end, uint32_t n);
/* The message is stored no longer; this process has handles for its names. */
void ccp_keeping_dropped(const unsigned char *end, uint32_t n);

/* For fini, which runs in between: the message is gone. What it kept is freed
** later, if nobody else holds it. */
void ccp_keeping_gone(const unsigned char *end, uint32_t n);

/* ---- without the mutex */

/* Gives up what ccp_keeping_hand gave. */
void ccp_keeping_release(const unsigned char *end, uint32_t n);

#endif
