/*
** Events: a flag, and those who wait for it.
*/
#ifndef CCP_SHARED_EVENT_H
#define CCP_SHARED_EVENT_H

#include "shared/object.h"

typedef struct ccp_event {
  ccp_object object;
  _Atomic uint32_t set; /* written under the mutex, read without */
  ccp_sleepers sleepers;
} ccp_event;

ccp_event *ccp_event_new(void);
void ccp_event_set(ccp_event *e, int on);
/* CCP_OK, CCP_E_TIMEOUT, CCP_E_INTR. Blocks. */
int ccp_event_wait(ccp_event *e, int64_t deadline_ns);

#endif
