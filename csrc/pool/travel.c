/*
** Futures that travel: a task whose outcome other threads of the process want
** too. A *ticket* stands for it: its number goes into a message, and whoever
** receives the message gets a *link*, a task of its own party that nobody runs
** and that ends as the one that was sent does.
**
** A ticket outlives its task, for the message may not have been read yet: for
** KEEP_NS, or for LEASE_NS once each message was read.
*/
#include "pool/state.h"

#include <stdlib.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/fd.h"
#include "os/process.h"

#define LEASE_NS (60 * CCP_NS_PER_S)
#define KEEP_NS (3600 * CCP_NS_PER_S)

enum { BUCKETS = 256 };

/* Guarded by the lock of the tickets. 'task' and 'links' are written under the
** lock of the task's pool, too: either is enough to read them. */
struct ccp_ticket {
  ccp_ticket *next; /* in its bucket */
  uint64_t number;  /* in this process never used twice */
  ccp_task *task;   /* borrowed; NULL once it is through */
  ccp_task *links;  /* that wait for it, by 'link_next'; borrowed */
  uint64_t sent, received;
  int64_t touched_ns; /* sent or received last, or finished */
  ccp_outcome outcome;
};

static ccp_lock tickets_lock = CCP_LOCK_INIT(CCP_RANK_TICKETS);
static ccp_ticket *buckets[BUCKETS];
static uint64_t last_number;

/* What the ancestor's tickets hold is left alone. */
void ccp_tickets_forked(void) {
  ccp_lock_init(&tickets_lock, CCP_RANK_TICKETS);
  for (int i = 0; i < BUCKETS; i++)
    buckets[i] = NULL;
}

static int is_stale(const ccp_ticket *k, int64_t now) {
  int64_t since = now - k->touched_ns;
  return !k->task && since > (k->received < k->sent ? KEEP_NS : LEASE_NS);
}

static ccp_ticket *find_ticket(uint64_t number) {
  ccp_ticket *k = buckets[number % BUCKETS];
  while (k && k->number != number)
    k = k->next;
  return k;
}

static ccp_ticket *add_ticket(ccp_task *t) {
  int64_t now = ccp_clock_now_ns();
  ccp_ticket *k = calloc(1, sizeof *k), **at;
  if (!k)
    return NULL;
  k->number = ++last_number;
  k->task = t;
  ccp_bytes_init(&k->outcome.bytes);
  at = &buckets[k->number % BUCKETS];
  while (*at) {
    ccp_ticket *old = *at;
    if (!is_stale(old, now)) {
      at = &old->next;
      continue;
    }
    *at = old->next;
    ccp_bytes_free(&old->outcome.bytes);
    free(old);
  }
  *at = k;
  return k;
}

/* ------------------------------------------------------------ the outcome */

static void copy_outcome(ccp_outcome *to, const ccp_outcome *from) {
  *to = *from;
  ccp_bytes_init(&to->bytes);
  if (ccp_bytes_set(&to->bytes, ccp_bytes_at(&from->bytes), from->bytes.len) !=
      CCP_OK)
    to->status = CCP_R_MEMORY;
}

static void end_link(ccp_pool *p, ccp_task *link, const ccp_outcome *o) {
  ccp_outcome copy;
  copy_outcome(&copy, o);
  ccp_bytes_free(&link->body);
  link->body = copy.bytes; /* moved: bytes know no address of their own */
  link->status = copy.status;
  link->worker = copy.worker;
  link->pid = copy.pid;
  link->done = 1;
  link->state = CCP_T_FINISHED;
  link->rules->ticket = NULL;
  ccp_party_remove_locked(link);
  if (link->fd >= 0)
    ccp_fd_ring(link->fd);
  ccp_pool_list_locked(p, link);
}

static void fill(ccp_ticket *k, const ccp_task *t) {
  k->outcome.status = t->status;
  k->outcome.worker = t->worker;
  k->outcome.pid = t->pid;
  if (ccp_bytes_set(&k->outcome.bytes, ccp_bytes_at(&t->body), t->body.len) !=
      CCP_OK)
    k->outcome.status = CCP_R_MEMORY;
  k->task = NULL;
  k->touched_ns = ccp_clock_now_ns();
}

void ccp_ticket_finish_locked(ccp_pool *p, ccp_task *t) {
  ccp_ticket *k = t->rules->ticket;
  ccp_task *link, *next;
  ccp_lock_acquire(&tickets_lock);
  fill(k, t);
  link = k->links;
  k->links = NULL;
  for (; link; link = next) {
    next = link->rules->link_next;
    end_link(p, link, &k->outcome);
  }
  ccp_lock_release(&tickets_lock);
  t->rules->ticket = NULL;
}

/* ------------------------------------------------------------ links */

ccp_task *ccp_pool_origin_locked(ccp_task *t) {
  if (!t->rules || !t->rules->is_link)
    return t;
  return t->rules->ticket ? t->rules->ticket->task : NULL;
}

ccp_task *ccp_pool_target_locked(ccp_task *t) {
  ccp_task *origin = ccp_pool_origin_locked(t);
  return origin ? origin : t;
}

void ccp_ticket_unlink_locked(ccp_task *link) {
  if (!link->rules->ticket)
    return;
  for (ccp_task **at = &link->rules->ticket->links; *at;
       at = &(*at)->rules->link_next)
    if (*at == link) {
      *at = link->rules->link_next;
      break;
    }
  link->rules->ticket = NULL;
}

/* ------------------------------------------------------------ sending */

static int needs_rules(ccp_task *t) {
  if (t->rules)
    return CCP_OK;
  t->rules = ccp_rules_new();
  if (!t->rules)
    return CCP_E_NOMEM;
  t->rules->task = t;
  return CCP_OK;
}

/* One that is finished and not yet delivered gets a ticket that is full. */
static ccp_ticket *ticket_of(ccp_task *t) {
  ccp_ticket *k;
  if (t->rules && t->rules->ticket)
    return t->rules->ticket;
  if (t->state != CCP_T_FINISHED && needs_rules(t) != CCP_OK)
    return NULL;
  k = add_ticket(t);
  if (k && t->state == CCP_T_FINISHED)
    fill(k, t);
  else if (k)
    t->rules->ticket = k;
  return k;
}

uint64_t ccp_pool_send(ccp_pool *p, ccp_task *t) {
  ccp_ticket *k;
  uint64_t number = 0;
  ccp_lock_acquire(&p->lock);
  ccp_lock_acquire(&tickets_lock);
  k = ticket_of(t);
  if (k) {
    k->sent++;
    k->touched_ns = ccp_clock_now_ns();
    number = k->number;
  }
  ccp_lock_release(&tickets_lock);
  ccp_lock_release(&p->lock);
  return number;
}

/* ------------------------------------------------------------ receiving */

static void received(ccp_ticket *k) {
  k->received++;
  k->touched_ns = ccp_clock_now_ns();
}

int ccp_ticket_outcome(uint64_t number, ccp_outcome *out) {
  ccp_ticket *k;
  int found;
  ccp_lock_acquire(&tickets_lock);
  k = find_ticket(number);
  found = k ? !k->task : CCP_E_CLOSED;
  if (found == 1) {
    received(k);
    copy_outcome(out, &k->outcome);
  }
  ccp_lock_release(&tickets_lock);
  return found;
}

int ccp_pool_receive(ccp_pool *p, ccp_task *link, uint64_t number) {
  ccp_ticket *k;
  ccp_lock_acquire(&p->lock);
  ccp_lock_acquire(&tickets_lock);
  k = find_ticket(number);
  if (k) {
    received(k);
    link->rules->is_link = 1;
    ccp_party_add_locked(link);
    if (k->task) {
      link->rules->ticket = k;
      link->rules->link_next = k->links;
      k->links = link;
    } else
      end_link(p, link, &k->outcome);
  }
  ccp_lock_release(&tickets_lock);
  ccp_lock_release(&p->lock);
  return k ? CCP_OK : CCP_E_CLOSED;
}
