/*
** Rules of tasks. No locking here: rules.h says what guards them.
*/
#include "task/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"

ccp_rules *ccp_rules_copy(const ccp_rules *from) {
  ccp_rules *r = malloc(sizeof *r);
  if (!r)
    return NULL;
  *r = *from;
  r->attempt = NULL;
  r->attempt_n = 0;
  r->heap_at = 0;
  r->older = r->newer = r->link_next = NULL;
  r->ticket = NULL;
  r->is_link = 0;
  r->helper = NULL;
  if (from->name && (r->name = strdup(from->name)) == NULL) {
    free(r);
    return NULL;
  }
  return r;
}

ccp_rules *ccp_rules_new(void) {
  const ccp_rules none = {.deadline_ns = CCP_NEVER};
  return ccp_rules_copy(&none);
}

void ccp_rules_free(ccp_rules *r) {
  if (!r)
    return;
  free(r->name);
  free(r->attempt);
  free(r);
}

/* What cannot be remembered is retried all the same. */
static void remember(ccp_rules *r, uint8_t status, const ccp_crash *crash) {
  ccp_attempt *grown;
  if (r->attempt_n == CCP_ATTEMPTS_MOST)
    return;
  grown = realloc(r->attempt, (r->attempt_n + 1) * sizeof *grown);
  if (!grown)
    return;
  r->attempt = grown;
  grown[r->attempt_n++] = (ccp_attempt){*crash, status};
}

int ccp_rules_retry(ccp_rules *r, uint32_t item, uint8_t status,
                    const ccp_crash *crash) {
  if (status != CCP_R_CRASH && status != CCP_R_TIMEOUT)
    return 0;
  if (r->item != item) {
    r->item = item;
    r->retried = r->crashes = 0;
  }
  if (status == CCP_R_CRASH && ++r->crashes >= CCP_CRASHES_MOST)
    return 0;
  if (r->retried >= r->retries) /* a deadline takes retries away */
    return 0;
  r->retried++;
  remember(r, status, crash);
  return 1;
}

void ccp_rules_say_late(const ccp_rules *r, int is_deadline, char *text) {
  double s = r->timeout_ns == CCP_NO_TIME
                 ? 0
                 : (double)r->timeout_ns / (double)CCP_NS_PER_S;
  if (is_deadline && r->name)
    (void)snprintf(text, CCP_RULES_TEXT,
                   "the deadline of task '%.100s' has passed", r->name);
  else if (is_deadline)
    (void)snprintf(text, CCP_RULES_TEXT, "the task's deadline has passed");
  else if (r->name)
    (void)snprintf(text, CCP_RULES_TEXT, "task '%.100s' ran longer than %g s",
                   r->name, s);
  else
    (void)snprintf(text, CCP_RULES_TEXT, "the task ran longer than %g s", s);
}
