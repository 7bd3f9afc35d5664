/*
** The worker's loop. Runs in the worker, which may die at any instruction:
** what it has claimed stands in the slot's word, what it has finished in its
** ring, and it never holds a lock.
*/
#include "worker/loop.h"

#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/fault.h"
#include "os/process.h"
#include "task/task.h"

enum {
  SEARCH_NS = 12000, /* about what a wake-up costs */
  HOPE_NS = 2000,    /* until the owner, who has its reply, stops searching */
  LOOKS_PER_CLOCK = 32,
  PACE_EVERY = 64,    /* tiny items between two looks at the clock */
  PACE_EACH_NS = 4000 /* items that take longer are measured one by one */
};

void ccp_loop_init(ccp_loop *l, ccp_board *b, uint32_t me) {
  memset(l, 0, sizeof *l);
  l->board = b;
  l->me = me;
  l->pace_every = 1;
}

static ccp_record *mine(const ccp_loop *l) {
  return &l->board->records[l->me];
}

/* ---------------------------------------------------------- the item */

static const unsigned char *part(ccp_loop *l, size_t *len) {
  uint32_t n;
  const unsigned char *p;
  if ((size_t)(l->end - l->rest) < sizeof n)
    return NULL;
  memcpy(&n, l->rest, sizeof n);
  p = l->rest + sizeof n;
  if ((size_t)(l->end - p) < n)
    return NULL;
  l->rest = p + n;
  *len = n;
  return p;
}

/* A body that ends too early gives empty messages, which fail to decode: the
** task fails, the worker goes on. */
static void open_call(ccp_loop *l) {
  const ccp_claim *c = &l->claim;
  l->item.first = 1;
  l->in_chunk = c->len > 0 && c->body[0] == CCP_BODY_CHUNK;
  l->rest = c->body + (c->len > 0);
  l->end = c->body + c->len;
  l->item.fn = NULL;
  if (l->in_chunk) {
    l->item.fn = part(l, &l->item.fn_len);
    l->item.args = part(l, &l->item.args_len);
  } else {
    l->item.args = l->rest;
    l->item.args_len = (size_t)(l->end - l->rest);
  }
}

/* Tells the board how long the items since the last time took. */
static void take_pace(ccp_loop *l) {
  uint32_t n = l->tasks - l->paced;
  int64_t now = ccp_clock_now_ns(), each;
  if (n == 0)
    return;
  each = (now - l->paced_ns) / n;
  atomic_store_explicit(&l->board->pace_ns,
                        each < UINT32_MAX ? (uint32_t)each : UINT32_MAX,
                        memory_order_relaxed);
  ccp_histogram_add(&mine(l)->ran, each, n);
  l->pace_every = each < PACE_EACH_NS ? PACE_EVERY : 1;
  l->paced = l->tasks;
  l->paced_ns = now;
}

/* The low bits of the time tell how many calls it stands for. */
static void take_wait(ccp_loop *l) {
  int64_t since = l->claim.waits_since;
  if (since)
    ccp_histogram_add(&mine(l)->waited, ccp_clock_now_ns() - since,
                      (uint32_t)1 << (since & CCP_WAIT_BITS));
}

/* The parent's clock for this item starts here. It was 0 since before the claim
** that made the item this worker's, so nobody takes the last item's time for
** this one's. */
static void note_begin(ccp_loop *l) {
  l->began_ns = ccp_clock_now_ns();
  atomic_store_explicit(&mine(l)->began_ns, l->began_ns, memory_order_relaxed);
}

static const ccp_item *begin(ccp_loop *l) {
  if (l->tasks == 0)
    l->paced_ns = ccp_clock_now_ns();
  /* the parent shows it; nobody decides on it */
  atomic_store_explicit(&mine(l)->tasks, ++l->tasks, memory_order_relaxed);
  if (atomic_load_explicit(&l->board->timed, memory_order_relaxed) ||
      atomic_load_explicit(&l->board->trace, memory_order_relaxed))
    note_begin(l);
  CCP_FAULT("run");
  return &l->item;
}

/* ---------------------------------------------------------- waiting */

/* The owner is told if it waits; the supervisor only if it matters. */
static void announce(ccp_loop *l, int pressing) {
  ccp_board *b = l->board;
  ccp_bell *owner = atomic_load_explicit(&b->owner, memory_order_acquire);
  uint32_t state = atomic_load_explicit(&owner->state, memory_order_seq_cst);
  if (state == CCP_ASLEEP)
    ccp_bell_ring(owner);
  if (state != CCP_AWAY && !pressing)
    return;
  if (pressing || atomic_load_explicit(&b->watch, memory_order_relaxed) ||
      ccp_replies_half(b, l->me) ||
      (atomic_load_explicit(&b->backlog, memory_order_relaxed) &&
       atomic_load_explicit(&b->tail, memory_order_relaxed) -
               atomic_load_explicit(&b->head, memory_order_relaxed) <
           CCP_WINDOW / 4))
    ccp_board_call_supervisor(b);
}

/* Calls with several items are being run elsewhere and nothing is left here:
** the parent may take some of their items back and post them anew. */
static void ask_for_share(ccp_loop *l) {
  ccp_board *b = l->board;
  ccp_bell *owner = atomic_load_explicit(&b->owner, memory_order_acquire);
  uint32_t state;
  if (!atomic_load_explicit(&b->chunks, memory_order_relaxed) ||
      atomic_exchange_explicit(&b->ask, 1, memory_order_seq_cst))
    return;
  state = atomic_load_explicit(&owner->state, memory_order_seq_cst);
  if (state == CCP_ASLEEP)
    ccp_bell_ring(owner);
  else if (state == CCP_AWAY)
    ccp_board_call_supervisor(b);
}

static int told_to_end(const ccp_loop *l) {
  return atomic_load_explicit(&mine(l)->quit, memory_order_seq_cst) != 0;
}

/* It ran as many items as a worker may, or grew more than it may. */
static int worn_out(ccp_loop *l) {
  const ccp_board *b = l->board;
  if (b->tasks_most && l->tasks >= b->tasks_most)
    return 1;
  if (b->rss_growth && l->tasks > 0) {
    int64_t rss = ccp_process_rss(getpid());
    if (l->rss == 0)
      l->rss = rss;
    return rss - l->rss > (int64_t)b->rss_growth;
  }
  return 0;
}

/* Before anything new is begun. Who tells a worker to end (a timeout, say)
** stores 'quit' and then drains; this worker publishes a reply and then loads
** 'quit' (all seq_cst). So either that reply was seen by the drain, or nothing
** is begun after it: what is interrupted then is the item that was meant. */
static int shall_end(ccp_loop *l) {
  return l->is_unfit || told_to_end(l) ||
         ((l->board->tasks_most || l->board->rss_growth) && worn_out(l));
}

/* The owner may search where only one may, for the reply that was just put: its
** place will be free in a moment, and going to sleep meanwhile costs more. */
static int enter_search(const ccp_loop *l) {
  ccp_board *b = l->board;
  const ccp_bell *owner = atomic_load_explicit(&b->owner, memory_order_acquire);
  int64_t begun = 0;
  while (!ccp_board_search_enter(b, l->me)) {
    int64_t now = ccp_clock_now_ns();
    begun = begun ? begun : now;
    if (now - begun >= HOPE_NS || b->spin_most == 0 || ccp_board_any(b) ||
        atomic_load_explicit(&owner->state, memory_order_relaxed) !=
            CCP_LOOKING)
      return 0;
    ccp_clock_pause();
  }
  return 1;
}

/* True once there may be work; false: searched long enough. While the owner is
** away, nobody waits for the next reply: then the tail is looked at less often,
** which lets calls gather and leaves its cache line to the owner. */
static int search(ccp_loop *l) {
  const ccp_board *b = l->board;
  const ccp_bell *owner = atomic_load_explicit(&b->owner, memory_order_acquire);
  int64_t until;
  int found = 0;
  if (!enter_search(l))
    return ccp_board_any(l->board);
  until = ccp_clock_now_ns() + SEARCH_NS;
  do {
    for (int i = 0; i < LOOKS_PER_CLOCK && !found; i++) {
      ccp_clock_pause();
      if (atomic_load_explicit(&owner->state, memory_order_relaxed) != CCP_AWAY)
        found = ccp_board_any(b);
    }
    found = found || ccp_board_any(b);
    l->paced_ns = ccp_clock_now_ns();
  } while (!found && l->paced_ns < until);
  l->paced = l->tasks;
  ccp_board_search_leave(l->board, l->me);
  return found;
}

/* A worker that was just born does not search: others may be on their way,
** which need the processor. */
static void wait_for_call(ccp_loop *l) {
  take_pace(l);
  if (l->tasks == 0 || !search(l)) {
    if (atomic_load_explicit(&l->board->backlog, memory_order_relaxed))
      announce(l, 0); /* calls wait, but the board was not refilled */
    ask_for_share(l);
    CCP_FAULT("sleep");
    ccp_board_sleep(l->board, l->me);
    l->paced_ns = ccp_clock_now_ns();
  }
}

/* The next broadcast that this worker has not run; there is one. */
static const ccp_item *next_news(ccp_loop *l) {
  _Atomic(ccp_news *) *at = l->news ? &l->news->next : &l->board->news;
  l->news = atomic_load_explicit(at, memory_order_acquire);
  l->in_news = 1;
  l->claim.slot = CCP_NO_SLOT;
  l->item.fn = NULL;
  l->item.first = 1;
  l->item.args = l->news->bytes;
  l->item.args_len = l->news->len;
  return &l->item;
}

static int has_news(const ccp_loop *l) {
  return atomic_load_explicit(&l->board->news_n, memory_order_acquire) !=
         atomic_load_explicit(&mine(l)->heard, memory_order_relaxed);
}

/* What the last tiny items took is told, too. */
static const ccp_item *no_more(ccp_loop *l) {
  take_pace(l);
  return NULL;
}

/* The rest of a chunk is given up by who ends: the parent finds it unclaimed.
 */
const ccp_item *ccp_loop_next(ccp_loop *l) {
  int waited = 0;
  if (shall_end(l))
    return no_more(l);
  if (l->in_chunk) {
    if (ccp_board_next(l->board, l->me, &l->claim)) {
      l->item.first = 0;
      l->item.args = part(l, &l->item.args_len);
      return begin(l);
    }
    l->in_chunk = 0;
  }
  for (;;) {
    if (l->is_unfit || told_to_end(l))
      return no_more(l);
    if (has_news(l))
      return next_news(l);
    CCP_FAULT("claim");
    if (ccp_board_claim(l->board, l->me, &l->claim)) {
      CCP_FAULT("claimed");
      if (waited) /* who posted more than one call woke only this worker */
        ccp_board_pass_on(l->board);
      take_wait(l);
      open_call(l);
      if (l->in_chunk && !ccp_board_any(l->board) && ccp_board_idle(l->board))
        ask_for_share(l); /* for those who sleep already */
      return begin(l);
    }
    if (told_to_end(l) ||
        atomic_load_explicit(&l->board->closing, memory_order_seq_cst))
      return no_more(l);
    wait_for_call(l);
    waited = 1;
  }
}

/* Either the drain that makes room sees 'full' and rings, or room is seen
** before the sleep (both seq_cst). */
static void wait_for_room(ccp_loop *l, size_t len) {
  ccp_record *r = mine(l);
  atomic_store_explicit(&r->full, 1, memory_order_seq_cst);
  CCP_FAULT("full");
  while (!ccp_replies_room(l->board, l->me, len)) {
    announce(l, 1);
    ccp_replies_wait(l->board, l->me, len);
  }
  atomic_store_explicit(&r->full, 0, memory_order_seq_cst);
}

static void put(ccp_loop *l, const ccp_reply *reply) {
  size_t size = reply->is_block ? 2 * sizeof(void *) : reply->len;
  if (!ccp_replies_room(l->board, l->me, size))
    wait_for_room(l, size);
  ccp_replies_put(l->board, l->me, reply);
}

/* How long the item took goes ahead of its reply, for who writes a trace. */
static void put_trace(ccp_loop *l) {
  ccp_trace_note note = {l->began_ns, ccp_clock_now_ns()};
  ccp_reply reply = {(uint16_t)l->claim.slot,
                     l->claim.item,
                     l->claim.lap,
                     CCP_R_TRACE,
                     0,
                     &note,
                     sizeof note};
  put(l, &reply);
}

/* Nothing of the item is left to be timed or traced. */
static void note_end(ccp_loop *l) {
  if (atomic_load_explicit(&l->board->trace, memory_order_relaxed))
    put_trace(l);
  l->began_ns = 0;
  atomic_store_explicit(&mine(l)->began_ns, 0, memory_order_relaxed);
}

void ccp_loop_reply(ccp_loop *l, uint8_t status, const void *p, size_t len,
                    void *block) {
  ccp_record *r = mine(l);
  ccp_reply reply = {
      (uint16_t)l->claim.slot, l->claim.item,     l->claim.lap, status,
      block != NULL,           block ? block : p, len};
  CCP_FAULT("reply");
  if (l->began_ns)
    note_end(l);
  put(l, &reply);
  CCP_FAULT("replied");
  if (block) /* published: no longer this worker's */
    atomic_store_explicit(&r->block, NULL, memory_order_release);
  if (l->in_news) {
    l->in_news = 0;
    if (atomic_fetch_add_explicit(&r->heard, 1, memory_order_seq_cst) <
            atomic_load_explicit(&r->news_before, memory_order_relaxed) &&
        status != CCP_R_VALUES)
      l->is_unfit = 1; /* as if its initializer had failed */
    announce(l, 1);    /* somebody waits until all have heard it */
    return;
  }
  announce(l, 0);
  if (l->tasks - l->paced >= l->pace_every)
    take_pace(l);
}
