/*
** Parties: threads other than the owner that submit to a pool, workers of it as
** a rule. What their tasks came to is drained by whoever drains, and their bell
** is rung.
*/
#include "pool/state.h"

#include <stdlib.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/process.h"

enum { SPARE_MOST = 64 }; /* workers that stand in for those that wait */

/* ------------------------------------------------------------ the list */

/* Guards the list and the references of every pool in it. */
static ccp_lock pools_lock = CCP_LOCK_INIT(CCP_RANK_CLIENTS);
static ccp_pool *pools;

void ccp_pools_add(ccp_pool *p) {
  ccp_lock_acquire(&pools_lock);
  p->refs = 1;
  p->next = pools;
  pools = p;
  ccp_lock_release(&pools_lock);
}

/* A pool that is in no list was never finished, or is a copy in a child. */
int ccp_pools_drop(ccp_pool *p) {
  int last;
  ccp_lock_acquire(&pools_lock);
  last = p->refs <= 1;
  if (p->refs > 0)
    p->refs--;
  for (ccp_pool **at = &pools; last && *at; at = &(*at)->next)
    if (*at == p) {
      *at = p->next;
      break;
    }
  ccp_lock_release(&pools_lock);
  if (last)
    ccp_pool_take_back(p);
  return last;
}

void ccp_pools_forked(void) {
  ccp_lock_init(&pools_lock, CCP_RANK_CLIENTS); /* another thread may hold it */
  pools = NULL;
  ccp_tickets_forked();
  ccp_stalls_forked();
}

uint64_t ccp_pool_uid(const ccp_pool *p) {
  return p->funcs.uid;
}

ccp_pool *ccp_pool_find(uint64_t uid) {
  ccp_pool *p;
  ccp_lock_acquire(&pools_lock);
  for (p = pools; p; p = p->next)
    if (p->funcs.uid == uid && ccp_pool_is_ours(p)) {
      p->refs++;
      break;
    }
  ccp_lock_release(&pools_lock);
  return p;
}

/* ------------------------------------------------------------ tasks */

int ccp_guest_mark(ccp_task *t, ccp_party *party) {
  t->rules = ccp_rules_new();
  if (!t->rules)
    return CCP_E_NOMEM;
  t->rules->party = party;
  t->rules->is_guest = 1;
  return CCP_OK;
}

ccp_task *ccp_guest_new(ccp_party *party) {
  ccp_task *t = malloc(sizeof *t);
  if (!t)
    return NULL;
  ccp_task_init(t);
  if (ccp_guest_mark(t, party) == CCP_OK)
    return t;
  free(t);
  return NULL;
}

void ccp_guest_free(ccp_task *t) {
  if (t->is_chunk) {
    ccp_chunk_free(ccp_chunk_of(t));
    return;
  }
  ccp_task_fini(t);
  free(t);
}

ccp_party *ccp_pool_party_of_locked(ccp_pool *p, const ccp_task *t) {
  if (!t->rules || !t->rules->is_guest)
    return &p->home;
  return t->rules->party;
}

void ccp_party_add_locked(ccp_task *t) {
  ccp_party *party = t->rules->party;
  t->rules->older = party->newest;
  t->rules->newer = NULL;
  if (party->newest)
    party->newest->rules->newer = t;
  party->newest = t;
  party->unfinished++;
}

void ccp_party_remove_locked(ccp_task *t) {
  ccp_rules *r = t->rules;
  ccp_party *party = r->party;
  if (!party)
    return;
  if (r->newer)
    r->newer->rules->older = r->older;
  else
    party->newest = r->older;
  if (r->older)
    r->older->rules->newer = r->newer;
  r->older = r->newer = NULL;
  party->unfinished--;
}

void ccp_pool_sweep_locked(ccp_pool *p) {
  while (p->trash) {
    ccp_task *t = p->trash;
    p->trash = t->taken;
    ccp_guest_free(t);
  }
}

/* ------------------------------------------------------------ joining */

/* From now on the supervisor looks at every reply: parties have nobody who
** drains for them. */
ccp_party *ccp_pool_join(ccp_pool *p, ccp_bell *bell) {
  ccp_party *party = calloc(1, sizeof *party);
  if (!party)
    return NULL;
  party->bell = bell;
  ccp_lock_acquire(&p->lock);
  p->parties++;
  ccp_lock_release(&p->lock);
  ccp_pool_watch(p, 1);
  return party;
}

/* The completed ones are the party's to free; those it took are gone already.
 */
static void free_completed(ccp_party *party) {
  while (party->head) {
    ccp_task *t = party->head;
    party->head = t->completed;
    if (t->state == CCP_T_FINISHED)
      ccp_guest_free(t);
  }
}

void ccp_pool_part(ccp_pool *p, ccp_party *party) {
  ccp_task *t, *older;
  ccp_lock_acquire(&p->lock);
  ccp_pool_drain_locked(p);
  free_completed(party);
  for (t = party->newest; t; t = older) {
    older = t->rules->older;
    if (t->rules->is_link) {
      ccp_ticket_unlink_locked(t);
      ccp_party_remove_locked(t);
      ccp_guest_free(t);
      continue;
    }
    t->owner = NULL;
    t->listed = 0;
    t->rules->party = NULL;
    t->rules->older = t->rules->newer = NULL;
    if (ccp_pool_withdraw_locked(p, t))
      ccp_pool_end_locked(p, t, CCP_R_CANCELLED, NULL, 0);
  }
  p->parties--;
  ccp_pool_fill_locked(p);
  ccp_lock_release(&p->lock);
  ccp_pool_watch(p, -1);
  free(party);
}

int ccp_party_busy(ccp_pool *p, const ccp_party *party) {
  int busy;
  ccp_lock_acquire(&p->lock);
  busy = party->unfinished > 0 || party->head != NULL;
  ccp_lock_release(&p->lock);
  return busy;
}

/* ------------------------------------------------------------ waiting */

/* Not what has to be stopped in time: that is for a worker which may end with
** it. */
static int may_help(const ccp_task *t) {
  return !t->is_chunk && t->rules->timeout_ns == 0 &&
         t->rules->deadline_ns == CCP_NEVER;
}

static ccp_task *newest_unstarted(ccp_pool *p, const ccp_party *party) {
  for (ccp_task *t = party->newest; t; t = t->rules->older)
    if (may_help(t) && ccp_pool_withdraw_locked(p, t))
      return t;
  return NULL;
}

ccp_task *ccp_pool_claim(ccp_pool *p, const ccp_party *party, ccp_task *t,
                         const void *helper) {
  ccp_lock_acquire(&p->lock);
  if (!t)
    t = newest_unstarted(p, party);
  else if (!may_help(t) || !ccp_pool_withdraw_locked(p, t))
    t = NULL;
  if (t) {
    t->state = CCP_T_NEW;
    t->rules->helper = helper;
    p->claimed++;
  }
  ccp_lock_release(&p->lock);
  return t;
}

void ccp_pool_end_claimed(ccp_pool *p, ccp_task *t, uint8_t status,
                          const void *bytes, size_t len) {
  ccp_lock_acquire(&p->lock);
  p->claimed--;
  ccp_pool_end_locked(p, t, status, bytes, len);
  ccp_pool_fill_locked(p);
  ccp_lock_release(&p->lock);
}

uint32_t ccp_pool_most_locked(const ccp_pool *p) {
  uint32_t spare = p->blocked < SPARE_MOST ? p->blocked : SPARE_MOST;
  return p->max_workers + spare;
}

void ccp_pool_blocked(ccp_pool *p, int delta) {
  ccp_lock_acquire(&p->lock);
  p->blocked += (uint32_t)delta;
  if (delta > 0)
    ccp_pool_fill_locked(p);
  ccp_lock_release(&p->lock);
}
