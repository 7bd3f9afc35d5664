/*
** What a task was submitted with beyond its call: times, priority, retries, a
** name; and what became of its attempts. Most tasks have none of it. The
** pool's lock guards all of it from the submit on.
*/
#ifndef CCP_TASK_RULES_H
#define CCP_TASK_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "task/task.h"

enum {
  CCP_ATTEMPTS_MOST = 64, /* remembered of one task: the first ones */
  CCP_CRASHES_MOST = 3,   /* workers that one task may crash */
  CCP_NO_TIME = 1,        /* ns: a timeout that is over before the start */
  CCP_RULES_TEXT = 160    /* bytes of what ccp_rules_say_late says */
};

/* One that failed and was followed by another. */
typedef struct ccp_attempt {
  ccp_crash crash; /* of a crash; else only pid and worker */
  uint8_t status;  /* enum ccp_reply_status */
} ccp_attempt;

struct ccp_rules {
  ccp_task *task;     /* borrowed: whose they are */
  void *party;        /* borrowed: who else than the owner submitted it */
  uint8_t is_guest;   /* a party did; it may have left: then party is NULL */
  uint8_t is_link;    /* never runs: ends as the task of its ticket does */
  const void *helper; /* names the thread that claimed it to help; or NULL */
  struct ccp_ticket *ticket; /* borrowed: it was sent, or the link's; or NULL */
  ccp_task *link_next;       /* links: of the same ticket */
  ccp_task *older, *newer;   /* among the unfinished ones of the party */
  char *name;                /* owned; NULL: none */
  int64_t timeout_ns;        /* 0: none; CCP_NO_TIME: it never starts */
  int64_t deadline_ns;  /* CCP_NEVER: none; in a template: from the submit */
  size_t heap_at;       /* place among the deadlines, counted from 1; 0: none */
  int32_t priority;     /* higher first */
  uint32_t retries;     /* of each item */
  uint32_t retried;     /* the item at hand, so far */
  uint32_t crashes;     /* that it caused */
  uint32_t item;        /* which one that is */
  uint32_t attempt_n;   /* kept */
  ccp_attempt *attempt; /* owned */
};

/* Rules that say nothing. NULL: no memory. */
ccp_rules *ccp_rules_new(void);
/* A copy of the plain values, without attempts. NULL: no memory. */
ccp_rules *ccp_rules_copy(const ccp_rules *from);
void ccp_rules_free(ccp_rules *r);

/* May the item that failed like this be run again? Then it is counted and
** remembered. */
int ccp_rules_retry(ccp_rules *r, uint32_t item, uint8_t status,
                    const ccp_crash *crash);

/* Says in text (CCP_RULES_TEXT bytes) that its timeout, or its deadline, has
** passed. */
void ccp_rules_say_late(const ccp_rules *r, int is_deadline, char *text);

/* Which attempt at that item comes next. */
static inline uint8_t ccp_rules_attempt(const ccp_rules *r, uint32_t item) {
  uint32_t n = r->item == item ? r->retried + 1 : 1;
  return n < UINT8_MAX ? (uint8_t)n : UINT8_MAX;
}

static inline int32_t ccp_task_priority(const ccp_task *t) {
  return t->rules ? t->rules->priority : 0;
}

#endif
