/*
** Taking items back from chunks: for idle workers, and when they are not to run
** any more. Everything runs under the pool's lock.
*/
#include "pool/state.h"

#include <string.h>

#include "os/codes.h"

/* ------------------------------------------------------------ sharing */

/* The running chunk with the most unclaimed items, and how many; or NULL. */
static ccp_task *largest_chunk(ccp_pool *p, uint32_t *items) {
  ccp_task *best = NULL;
  uint32_t most = 0;
  for (int i = 0; i < CCP_WINDOW; i++) {
    ccp_task *t = p->poster.taken[i] > 1 ? p->by_slot[i] : NULL;
    ccp_claim_word w;
    if (!t)
      continue;
    w = ccp_board_look(p->plan.board, i);
    if (w.state == CCP_CLAIMED && w.limit > w.next &&
        (uint32_t)(w.limit - w.next) > most) {
      most = (uint32_t)(w.limit - w.next);
      best = t;
    }
  }
  *items = most;
  return best;
}

/* Takes items of a running chunk back, all but 'keep': the chunk that they
** make, or NULL. Its items follow those of t. */
static ccp_task *split(ccp_pool *p, ccp_task *t, uint32_t keep) {
  ccp_chunk *whole = ccp_chunk_of(t);
  ccp_chunk *rest = ccp_chunk_new(t->owner, 0, 0);
  uint32_t items = t->items, posted = t->posted;
  int from;
  if (!rest)
    return NULL;
  if (t->rules && (rest->task.rules = ccp_rules_copy(t->rules)) == NULL) {
    ccp_chunk_free(rest);
    return NULL;
  }
  from = ccp_board_cut(p->plan.board, t->slot, keep);
  if (from < 0 || (uint32_t)from >= posted) {
    ccp_chunk_free(rest);
    return NULL;
  }
  t->posted = (uint32_t)from;
  t->items = t->base + t->posted;
  rest->first = whole->first + t->items;
  rest->task.items = rest->task.posted = rest->known = items - t->items;
  rest->segment = whole->segment;
  whole->segment = rest;
  p->unfinished++;
  if (rest->task.rules && rest->task.rules->party)
    ccp_party_add_locked(&rest->task);
  if (ccp_chunk_body_part(&t->body, t->posted, posted, &rest->task.body) !=
      CCP_OK)
    ccp_pool_end_locked(p, &rest->task, CCP_R_MEMORY, NULL, 0);
  if (t->done == t->items) { /* all that was left of it is through already */
    ccp_pool_release_locked(p, t);
    ccp_pool_finish_locked(p, t);
  }
  return &rest->task;
}

/* An idle worker asked for a share. While calls wait, it needs none. */
void ccp_pool_balance_locked(ccp_pool *p) {
  ccp_board *b = p->plan.board;
  uint32_t idle = ccp_board_idle(b) + 1; /* who asked may not sleep yet */
  if (!atomic_exchange_explicit(&b->ask, 0, memory_order_seq_cst))
    return;
  for (; idle > 0 && !p->backlog.n && !ccp_board_any(b); idle--) {
    uint32_t items;
    ccp_task *t = largest_chunk(p, &items), *rest;
    rest = t ? split(p, t, items / 2) : NULL;
    if (!rest)
      return;
    if (rest->state == CCP_T_FINISHED)
      continue;
    ccp_pool_put_back_locked(p, rest);
    ccp_pool_fill_locked(p);
  }
}

/* ------------------------------------------------------------ ending tasks */

/* For an owner that waits for no item any more: t shrinks to what has started.
 */
void ccp_pool_cut_chunk_locked(ccp_pool *p, ccp_task *t) {
  uint32_t started = t->done;
  if (t->state == CCP_T_FINISHED)
    return;
  if (!ccp_pool_withdraw_locked(p, t)) {
    int from = ccp_board_cut(p->plan.board, t->slot, 0);
    if (from < 0 || (uint32_t)from >= t->posted)
      return;
    t->posted = (uint32_t)from;
    started = t->base + t->posted;
  }
  ccp_pool_count_locked(p, CCP_R_CANCELLED, t->items - started);
  t->items = started;
  if (t->done < started)
    return; /* the running item's reply will finish it */
  if (t->slot >= 0)
    ccp_pool_release_locked(p, t);
  ccp_pool_finish_locked(p, t);
}

void ccp_pool_end_all_locked(ccp_pool *p, int running_too, uint8_t status,
                             const void *bytes, size_t len) {
  while (p->backlog.n) {
    ccp_task *t = ccp_backlog_head(&p->backlog);
    (void)ccp_pool_withdraw_locked(p, t);
    ccp_pool_end_locked(p, t, status, bytes, len);
  }
  for (int i = 0; i < CCP_WINDOW; i++) {
    ccp_task *t = p->by_slot[i];
    if (!t)
      continue;
    if (ccp_pool_withdraw_locked(p, t))
      ccp_pool_end_locked(p, t, status, bytes, len);
    else if (running_too) {
      ccp_pool_release_locked(p, t);
      ccp_pool_end_locked(p, t, status, bytes, len);
    } else if (t->is_chunk && (t = split(p, t, 0)) != NULL &&
               t->state != CCP_T_FINISHED)
      ccp_pool_end_locked(p, t, status, bytes, len);
  }
}

void ccp_pool_break_locked(ccp_pool *p, uint8_t status, const void *bytes,
                           size_t len) {
  unsigned char *text;
  if (p->broken)
    return;
  p->broken = 1;
  ccp_bytes_init(&p->cause);
  text = ccp_bytes_extend(&p->cause, len + 1);
  if (text) {
    text[0] = status;
    if (len)
      memcpy(text + 1, bytes, len);
  }
  ccp_pool_end_all_locked(p, 0, CCP_R_BROKEN, ccp_bytes_at(&p->cause),
                          p->cause.len);
}
