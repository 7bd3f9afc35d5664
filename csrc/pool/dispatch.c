/*
** The way of a task to the board, and its end. Everything runs under the pool's
** lock, in the owner's thread or in the supervisor.
*/
#include "pool/state.h"

#include <signal.h>
#include <string.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/fault.h"
#include "os/fd.h"
#include "shared/arena.h"

enum {
  DRAIN_EVERY = 256,    /* submits: keeps rings short and tasks warm */
  AHEAD_NS = 1000000,   /* work on the board, for each worker, if mixed */
  STAMP_EACH_NS = 4000, /* calls that take longer are each measured */
  STAMP_EVERY = 16,     /* others: one in so many */
  STAMP_LOG2 = 4
};

/* ------------------------------------------------------------ completing */

/* A chunk may be listed many times, but only once at a time. The owner is rung
** by who changes the list while the owner may be asleep: see ccp_pool_drain. */
void ccp_pool_list_locked(ccp_pool *p, ccp_task *t) {
  ccp_party *party = ccp_pool_party_of_locked(p, t);
  if (t->listed || !party)
    return;
  t->listed = 1;
  t->completed = NULL; /* 'taken' stays: the owner may still walk that list */
  if (party->tail)
    party->tail->completed = t;
  else
    party->head = t;
  party->tail = t;
  if (party->head == t)
    atomic_store_explicit(&party->stirred, 1, memory_order_seq_cst);
  if (party != &p->home)
    ccp_bell_ring(party->bell);
}

void ccp_pool_count_locked(ccp_pool *p, uint8_t status, uint32_t items) {
  p->unfinished_items -= items;
  if (status == CCP_R_VALUES)
    p->counts.done += items;
  else if (status == CCP_R_CANCELLED)
    p->counts.cancelled += items;
  else
    p->counts.failed += items;
}

void ccp_pool_finish_locked(ccp_pool *p, ccp_task *t) {
  t->state = CCP_T_FINISHED;
  t->slot = -1;
  if (t->rules) {
    ccp_deadlines_remove(&p->deadlines, t->rules);
    ccp_party_remove_locked(t);
    if (t->rules->ticket)
      ccp_ticket_finish_locked(p, t);
  }
  if (--p->unfinished == 0) {
    p->mixed = 0;
    if (p->life == CCP_P_DRAINING) /* closing is the supervisor's */
      ccp_fd_ring(p->supervisor_fd);
  }
  if (t->fd >= 0)
    ccp_fd_ring(t->fd);
  if (t->looped)
    ccp_fd_ring(p->owner->loop_fd);
  if (ccp_pool_party_of_locked(p, t))
    ccp_pool_list_locked(p, t);
  else { /* who submitted it has left; who ends it may still look at it */
    t->taken = p->trash;
    p->trash = t;
  }
}

void ccp_pool_end_locked(ccp_pool *p, ccp_task *t, uint8_t status,
                         const void *bytes, size_t len) {
  uint32_t missing = t->items - t->done;
  ccp_pool_count_locked(p, status, missing);
  if (!t->is_chunk) {
    t->status = status;
    if (ccp_bytes_set(&t->body, bytes, len) != CCP_OK)
      t->status = CCP_R_MEMORY;
  } else
    for (uint32_t i = 0; i < missing; i++)
      if (ccp_chunk_add_reply(ccp_chunk_of(t), status, bytes, len, 0) != CCP_OK)
        t->status = CCP_R_MEMORY;
  t->done = t->items;
  ccp_pool_finish_locked(p, t);
}

/* ------------------------------------------------------------ posting */

static int post(ccp_pool *p, ccp_task *t) {
  ccp_board *b = p->plan.board;
  int slot = ccp_board_room(b, &p->poster);
  ccp_call call = {ccp_bytes_at(&t->body),
                   t->body.len,
                   t->body.len > CCP_ANNEX_BYTES,
                   t->posted,
                   t->rules ? ccp_rules_attempt(t->rules, t->done) : 1,
                   t->submitted_ns};
  if (slot < 0)
    return CCP_E_FULL;
  if (t->rules)
    ccp_pool_timed_locked(p, t, 1);
  ccp_board_post(b, &p->poster, slot, &call);
  CCP_FAULT("dispatch");
  p->by_slot[slot] = t;
  t->slot = (int16_t)slot;
  t->state = CCP_T_POSTED;
  return CCP_OK;
}

static void set_backlog(ccp_pool *p) {
  atomic_store_explicit(&p->plan.board->backlog, p->backlog.n,
                        memory_order_relaxed);
}

static int wants_staff(const ccp_pool *p) {
  return p->live < ccp_pool_most_locked(p) &&
         (p->unfinished_items > p->live || p->live < p->limits.min_workers);
}

/* How many calls may lie ready. With priorities in use, no more than a
** millisecond's work for each worker: what lies there comes first. */
static uint32_t window(const ccp_pool *p) {
  uint64_t pace, each, n;
  if (!p->mixed)
    return CCP_WINDOW;
  pace =
      atomic_load_explicit(&p->plan.board->pace_ns, memory_order_relaxed) | 1;
  each = AHEAD_NS / pace;
  n = (each > 1 ? each : 1) * p->max_workers;
  n = n < CCP_WINDOW ? n : CCP_WINDOW;
  return (uint32_t)n - ccp_board_ready(p->plan.board, &p->poster, (uint32_t)n);
}

/* A broken pool queues nothing: nobody would ever run it. */
void ccp_pool_put_back_locked(ccp_pool *p, ccp_task *t) {
  if (p->broken) {
    ccp_pool_end_locked(p, t, CCP_R_BROKEN, ccp_bytes_at(&p->cause),
                        p->cause.len);
    return;
  }
  t->state = CCP_T_BACKLOG;
  ccp_backlog_push_front(&p->backlog, t);
  set_backlog(p);
}

void ccp_pool_fill_locked(ccp_pool *p) {
  int posted = 0;
  uint32_t room = p->backlog.n ? window(p) : 0;
  while (p->backlog.n && p->poster.used < CCP_WINDOW && room-- > 0) {
    ccp_task *t = ccp_backlog_head(&p->backlog);
    ccp_backlog_remove(&p->backlog, t);
    (void)post(p, t);
    posted = 1;
  }
  set_backlog(p);
  if (wants_staff(p))
    ccp_pool_staff_locked(p, p->unfinished_items);
  if (posted)
    ccp_board_wake(p->plan.board, &p->poster);
}

/* Calls of a lower priority that nobody has begun leave the board, so that
** this one comes before them. The newest first: each is put before the others.
*/
static void overtake(ccp_pool *p, int32_t priority) {
  const ccp_board *b = p->plan.board;
  uint64_t head = atomic_load_explicit(&b->head, memory_order_relaxed);
  for (uint64_t pos = p->poster.tail; pos > head; pos--) {
    uint32_t slot = (uint32_t)((pos - 1) % CCP_WINDOW);
    ccp_task *t = p->by_slot[slot];
    if (t && p->poster.pos[slot] == pos - 1 &&
        ccp_task_priority(t) < priority && ccp_pool_withdraw_locked(p, t))
      ccp_pool_put_back_locked(p, t);
  }
}

/* A task of this pool that waits has a spare worker in its place, and takes no
** room from the queue: else tasks that wait for room could fill it. So does one
** that runs on the thread that waits for it. */
uint64_t ccp_pool_places_locked(const ccp_pool *p) {
  uint64_t most = (uint64_t)p->limits.queue_most + ccp_pool_most_locked(p);
  most += p->claimed;
  if (!p->limits.queue_most)
    return UINT64_MAX;
  return p->unfinished_items < most ? most - p->unfinished_items : 0;
}

int ccp_pool_full_locked(ccp_pool *p, uint32_t items) {
  if (p->unfinished_items == 0 || items <= ccp_pool_places_locked(p))
    return 0;
  ccp_pool_drain_locked(p);
  return p->unfinished_items > 0 && items > ccp_pool_places_locked(p);
}

/* What a task with rules needs before nothing may fail any more. */
static int admit(ccp_pool *p, ccp_task *t) {
  ccp_rules *r = t->rules;
  int rc;
  r->task = t;
  rc = ccp_backlog_prepare(&p->backlog, r->priority);
  if (rc != CCP_OK)
    return rc;
  if (r->deadline_ns != CCP_NEVER) {
    rc = ccp_deadlines_add(&p->deadlines, r);
    if (rc != CCP_OK)
      return rc;
    ccp_pool_alarm_locked(p, r->deadline_ns);
  }
  if (r->priority != 0)
    p->mixed = 1;
  if (r->party)
    ccp_party_add_locked(t);
  return CCP_OK;
}

/* Tiny calls are too many to ask the clock for each. */
static void stamp(ccp_pool *p, ccp_task *t) {
  uint32_t pace =
      atomic_load_explicit(&p->plan.board->pace_ns, memory_order_relaxed);
  int each = pace >= STAMP_EACH_NS;
  if (each || p->begun % STAMP_EVERY == 0)
    t->submitted_ns = (ccp_clock_now_ns() & ~(int64_t)CCP_WAIT_BITS) |
                      (each ? 0 : STAMP_LOG2);
}

/* Nothing fails any more. Draining first also keeps workers from being started
** for tasks that are through. */
static void queue(ccp_pool *p, ccp_task *t) {
  t->state = CCP_T_BACKLOG;
  t->posted = t->items;
  p->unfinished++;
  p->unfinished_items += t->items;
  p->counts.submitted += t->items;
  stamp(p, t);
  if (ccp_pool_is_late_locked(p, t))
    return;
  if (++p->begun % DRAIN_EVERY == 0 || p->poster.used == CCP_WINDOW ||
      wants_staff(p))
    ccp_pool_drain_locked(p);
  if (p->broken) /* by what was drained just now: nobody would run it */
    ccp_pool_end_locked(p, t, CCP_R_BROKEN, ccp_bytes_at(&p->cause),
                        p->cause.len);
  else if (!p->mixed && !p->backlog.n && post(p, t) == CCP_OK) {
    if (wants_staff(p))
      ccp_pool_staff_locked(p, p->unfinished_items);
    ccp_board_wake(p->plan.board, &p->poster);
  } else {
    ccp_backlog_append(&p->backlog, t);
    if (p->mixed)
      overtake(p, ccp_task_priority(t));
    ccp_pool_fill_locked(p);
  }
}

/* A map asks for places before it takes items from its source: what it has
** taken then is not refused, though another thread may have been quicker. */
int ccp_pool_submit(ccp_pool *p, ccp_task *t) {
  int rc = CCP_OK;
  ccp_lock_acquire(&p->lock);
  if (p->life != CCP_P_OPEN)
    rc = CCP_E_CLOSED;
  else if (p->broken)
    rc = CCP_E_BROKEN;
  else if (p->limits.queue_most && !t->is_chunk &&
           ccp_pool_full_locked(p, t->items))
    rc = CCP_E_FULL;
  else if (t->rules)
    rc = admit(p, t);
  if (rc == CCP_OK)
    queue(p, t);
  ccp_lock_release(&p->lock);
  return rc;
}

int ccp_pool_withdraw_locked(ccp_pool *p, ccp_task *t) {
  if (t->state == CCP_T_BACKLOG) {
    ccp_backlog_remove(&p->backlog, t);
    set_backlog(p);
    return 1;
  }
  if (t->state != CCP_T_POSTED ||
      !ccp_board_retract(p->plan.board, &p->poster, t->slot))
    return 0;
  ccp_pool_take_off_locked(p, t);
  t->slot = -1;
  return 1;
}
