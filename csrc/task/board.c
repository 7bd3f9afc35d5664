/*
** The board. The parent's functions run under its pool's lock; the workers'
** in worker threads or worker processes, which may die at any instruction.
**
** Size: both sides of one word, whose orders only make sense side by side.
*/
#include "task/board.h"

#include <string.h>

#include "os/clock.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/futex.h"
#include "os/mapping.h"
#include "task/replies.h"

#define WINDOW_MASK ((uint64_t)CCP_WINDOW - 1)

enum {
  WATCH_NS = 1000000, /* between the looks of a watchful worker */
  WORTH_NS = 20000    /* work that is worth a wake-up */
};

uint64_t ccp_word_pack(ccp_claim_word w) {
  return (uint64_t)w.lap << 48 | (uint64_t)(w.state & 3u) << 46 |
         (uint64_t)(w.worker & 0x3fffu) << 32 | (uint64_t)w.next << 16 |
         w.limit;
}

ccp_claim_word ccp_word_unpack(uint64_t word) {
  ccp_claim_word w;
  w.lap = (uint16_t)(word >> 48);
  w.state = (uint8_t)(word >> 46 & 3u);
  w.worker = (uint16_t)(word >> 32 & 0x3fffu);
  w.next = (uint16_t)(word >> 16);
  w.limit = (uint16_t)word;
  return w;
}

static uint16_t lap_of(uint64_t pos) {
  return (uint16_t)(pos / CCP_WINDOW);
}

int ccp_board_is(const ccp_poster *p, int slot, uint16_t lap) {
  return lap_of(p->pos[slot]) == lap;
}

/* Records that were ever used: no bit is set beyond them. */
static uint32_t high(const ccp_board *b) {
  return atomic_load_explicit(&b->high, memory_order_relaxed);
}

/* ---------------------------------------------------------- the mapping */

static size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

ccp_board *ccp_board_new(uint32_t workers, int shared) {
  size_t page = ccp_mapping_page();
  size_t slots = round_up(sizeof(ccp_board), 64);
  size_t records = slots + sizeof(ccp_slot) * CCP_WINDOW;
  size_t annexes = round_up(records + sizeof(ccp_record) * workers, page);
  size_t rings = annexes + (size_t)CCP_ANNEX_BYTES * CCP_WINDOW;
  size_t bytes = rings + (size_t)CCP_RING_BYTES * workers;
  unsigned char *p =
      shared ? ccp_mapping_shared(bytes) : ccp_mapping_private(bytes);
  ccp_board *b = (ccp_board *)(void *)p;
  if (!p)
    return NULL;
  b->slots = (ccp_slot *)(void *)(p + slots);
  b->records = (ccp_record *)(void *)(p + records);
  b->annexes = p + annexes;
  b->rings = p + rings;
  b->bytes = bytes;
  b->workers = workers;
  b->supervisor_fd = -1;
  return b;
}

void ccp_board_free(ccp_board *b) {
  if (b)
    ccp_mapping_free(b, b->bytes);
}

/* ------------------------------------------------------------ the parent */

int ccp_board_room(ccp_board *b, ccp_poster *p) {
  (void)b;
  if (p->used == CCP_WINDOW)
    return -1;
  /* A slot whose call still runs is skipped: workers see a word that is not
  ** READY at that position and go on. */
  while (p->taken[p->tail & WINDOW_MASK])
    p->tail++;
  return (int)(p->tail & WINDOW_MASK);
}

void ccp_board_post(ccp_board *b, ccp_poster *p, int slot,
                    const ccp_call *call) {
  ccp_slot *s = &b->slots[slot];
  uint32_t items = call->items;
  ccp_claim_word w = {lap_of(p->tail), CCP_READY, 0, 0, (uint16_t)items};
  s->waits_since = call->waits_since;
  s->attempt = call->attempt;
  s->len_low = (uint32_t)call->len;
  s->len_high = (uint16_t)((uint64_t)call->len >> 32);
  if (call->is_block) {
    s->place = CCP_IN_BLOCK;
    s->body.block = call->body;
  } else if (call->len <= CCP_SLOT_BYTES) {
    s->place = CCP_IN_SLOT;
    memcpy(s->body.bytes, call->body, call->len);
  } else {
    s->place = CCP_IN_ANNEX;
    memcpy(b->annexes + (size_t)slot * CCP_ANNEX_BYTES, call->body, call->len);
  }
  __builtin_prefetch(&b->slots[(p->tail + 2) & WINDOW_MASK], 1);
  p->taken[slot] = items > 1 ? 2 : 1;
  p->pos[slot] = p->tail;
  p->used++;
  p->tail++;
  if (items > 1)
    atomic_fetch_add_explicit(&b->chunks, 1, memory_order_relaxed);
  /* release: the body is visible to who sees the word READY */
  atomic_store_explicit(&s->word, ccp_word_pack(w), memory_order_release);
  /* seq_cst, and an exchange so that it is a barrier: either a worker on its
  ** way to sleep sees this tail, or ccp_board_wake sees it idle */
  atomic_exchange_explicit(&b->tail, p->tail, memory_order_seq_cst);
}

uint32_t ccp_board_ready(const ccp_board *b, const ccp_poster *p,
                         uint32_t most) {
  uint64_t pos = atomic_load_explicit(&b->head, memory_order_relaxed);
  uint32_t n = 0;
  for (; pos < p->tail && n < most; pos++) {
    uint32_t slot = (uint32_t)(pos & WINDOW_MASK);
    n += p->taken[slot] && p->pos[slot] == pos &&
         ccp_word_unpack(
             atomic_load_explicit(&b->slots[slot].word, memory_order_relaxed))
                 .state == CCP_READY;
  }
  return n;
}

static void make_free(ccp_board *b, ccp_poster *p, int slot) {
  if (p->taken[slot] > 1)
    atomic_fetch_sub_explicit(&b->chunks, 1, memory_order_relaxed);
  p->taken[slot] = 0;
  p->used--;
}

int ccp_board_retract(ccp_board *b, ccp_poster *p, int slot) {
  _Atomic uint64_t *word = &b->slots[slot].word;
  uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
  ccp_claim_word w = ccp_word_unpack(old);
  if (w.state != CCP_READY)
    return 0;
  w.state = CCP_FREE;
  if (!atomic_compare_exchange_strong_explicit(word, &old, ccp_word_pack(w),
                                               memory_order_acq_rel,
                                               memory_order_relaxed))
    return 0; /* a worker was faster */
  make_free(b, p, slot);
  return 1;
}

int ccp_board_cut(ccp_board *b, int slot, uint32_t keep) {
  _Atomic uint64_t *word = &b->slots[slot].word;
  uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
  for (;;) {
    ccp_claim_word w = ccp_word_unpack(old);
    if (w.state != CCP_CLAIMED || w.next + keep >= w.limit)
      return -1;
    w.limit = (uint16_t)(w.next + keep);
    if (atomic_compare_exchange_weak_explicit(word, &old, ccp_word_pack(w),
                                              memory_order_acq_rel,
                                              memory_order_relaxed))
      return w.limit;
  }
}

void ccp_board_release(ccp_board *b, ccp_poster *p, int slot) {
  make_free(b, p, slot);
}

ccp_claim_word ccp_board_look(const ccp_board *b, int slot) {
  /* acquire: replies that the worker wrote before are visible too */
  return ccp_word_unpack(
      atomic_load_explicit(&b->slots[slot].word, memory_order_acquire));
}

/* ---------------------------------------------------------- waking up */

/* Takes the duty to wake one idle worker: its number, or -1. */
static int take_idle(ccp_board *b) {
  for (uint32_t i = 0; i * 64 < high(b); i++) {
    uint64_t mask = atomic_load_explicit(&b->idle[i], memory_order_seq_cst);
    while (mask) {
      uint64_t bit = mask & (~mask + 1);
      uint64_t before =
          atomic_fetch_and_explicit(&b->idle[i], ~bit, memory_order_seq_cst);
      if (before & bit)
        return (int)(i * 64) + __builtin_ctzll(bit);
      mask &= ~bit;
    }
  }
  return -1;
}

/* A worker that woke by itself meanwhile needs no ringing: its bell would stay
** rung while it is at work, and it would pass for one on its way. */
static int set_rung(ccp_record *r) {
  uint32_t dozing = CCP_DOZING;
  /* seq_cst: see ccp_board_wake */
  return atomic_compare_exchange_strong(&r->bell, &dozing, CCP_RUNG);
}

static void ring(ccp_record *r) {
  if (set_rung(r))
    ccp_futex_wake(&r->bell, 1);
}

/* Waking costs as much as running many small calls. So a few calls that will
** take less than that are left to a worker that is awake, but only while some
** idle one is watchful: if a call takes unexpectedly long, the ones behind it
** wait a millisecond at most. */
static int worth_waking(const ccp_board *b) {
  uint64_t ready, pace;
  int watched = 0;
  if (ccp_board_idle(b) >= atomic_load_explicit(&b->live, memory_order_relaxed))
    return 1; /* nobody is awake */
  for (uint32_t i = 0; i * 64 < high(b) && !watched; i++)
    watched = atomic_load_explicit(&b->watchful[i], memory_order_seq_cst) != 0;
  if (!watched)
    return 1;
  pace = atomic_load_explicit(&b->pace_ns, memory_order_relaxed);
  ready = atomic_load_explicit(&b->tail, memory_order_relaxed) -
          atomic_load_explicit(&b->head, memory_order_relaxed);
  return ready * pace >= WORTH_NS;
}

/* A searching worker needs no waking: it ceases to search before it looks for
** the last time (ccp_board_sleep), or before it passes on what it found too
** much. And at most one is on its way: while the bell of the one woken last is
** rung, it has not looked at the board yet; it puts the bell back before it
** looks. All of this is seq_cst, so what was posted before is seen. */
void ccp_board_wake(ccp_board *b, ccp_poster *p) {
  int w;
  if (atomic_load_explicit(&b->searching, memory_order_seq_cst) > 0)
    return;
  if (p->woken != CCP_NOBODY &&
      atomic_load_explicit(&b->records[p->woken].bell, memory_order_seq_cst) ==
          CCP_RUNG)
    return;
  if (!worth_waking(b))
    return;
  w = take_idle(b);
  if (w < 0)
    return;
  p->woken = (uint32_t)w;
  ring(&b->records[w]);
}

void ccp_board_pass_on(ccp_board *b) {
  int w;
  if (!ccp_board_any(b) || !worth_waking(b))
    return;
  w = take_idle(b);
  CCP_FAULT("passing");
  if (w < 0 || !set_rung(&b->records[w]))
    return;
  CCP_FAULT("ringing");
  ccp_futex_wake(&b->records[w].bell, 1);
}

/* What it is for (closing, quit, a death) was set before, and a worker looks
** for it after its bell says DOZING. A bell that is rung already is no proof:
** a worker that rang it may have died before it woke the sleeper. */
void ccp_board_wake_all(ccp_board *b, ccp_poster *p) {
  p->woken = CCP_NOBODY;
  for (uint32_t i = 0; i < high(b); i++) {
    (void)set_rung(&b->records[i]);
    ccp_futex_wake(&b->records[i].bell, 1);
    ccp_replies_make_room(b, i);
  }
}

uint32_t ccp_board_idle(const ccp_board *b) {
  int n = 0;
  for (uint32_t i = 0; i * 64 < high(b); i++)
    n += __builtin_popcountll(
        atomic_load_explicit(&b->idle[i], memory_order_seq_cst));
  return (uint32_t)n;
}

void ccp_board_expect(ccp_board *b, uint32_t worker) {
  atomic_fetch_or_explicit(&b->starting[worker / 64],
                           (uint64_t)1 << worker % 64, memory_order_seq_cst);
}

/* A worker may have died between taking the duty to wake another and doing
** it, or while it was counted as searching. Waking everybody and taking its
** bit and its count back makes up for all of it. On a board that closes all
** were woken after it was said so, and nobody falls asleep any more. */
void ccp_board_bury(ccp_board *b, ccp_poster *p, uint32_t worker) {
  ccp_record *r = &b->records[worker];
  atomic_fetch_and(&b->idle[worker / 64], ~((uint64_t)1 << worker % 64));
  atomic_fetch_and(&b->watchful[worker / 64], ~((uint64_t)1 << worker % 64));
  atomic_fetch_and(&b->starting[worker / 64], ~((uint64_t)1 << worker % 64));
  if (atomic_load(&r->spinning))
    ccp_board_search_leave(b, worker);
  atomic_store(&r->full, 0);
  atomic_store(&r->state, CCP_W_NONE);
  atomic_store(&b->rung, 0);
  if (!atomic_load(&b->closing))
    ccp_board_wake_all(b, p);
  atomic_store(&r->bell, CCP_AWAKE);
  /* what it wrote and nobody could read is gone with it */
  atomic_store(&r->tail, atomic_load(&r->head));
}

void ccp_bell_kick(ccp_bell *bell) {
  atomic_fetch_add_explicit(&bell->word, 1, memory_order_seq_cst);
  ccp_futex_wake(&bell->word, CCP_WAKE_ALL);
}

void ccp_bell_ring(ccp_bell *bell) {
  uint32_t asleep = CCP_ASLEEP;
  if (atomic_load_explicit(&bell->state, memory_order_seq_cst) != CCP_ASLEEP)
    return;
  if (!atomic_compare_exchange_strong(&bell->state, &asleep, CCP_LOOKING))
    return;
  ccp_bell_kick(bell);
}

/* ------------------------------------------------------------ the workers */

/* Each worker takes its bit back first and looks afterwards (seq_cst): of those
** that come up at the same time, at least the last finds no bit. */
void ccp_board_come_up(ccp_board *b, uint32_t me) {
  atomic_store_explicit(&b->records[me].state, CCP_W_UP, memory_order_release);
  atomic_fetch_and_explicit(&b->starting[me / 64], ~((uint64_t)1 << me % 64),
                            memory_order_seq_cst);
  for (uint32_t i = 0; i * 64 < high(b); i++)
    if (atomic_load_explicit(&b->starting[i], memory_order_seq_cst))
      return;
  ccp_bell_kick(atomic_load_explicit(&b->owner, memory_order_acquire));
}

static void fill(ccp_board *b, ccp_claim *c, uint64_t pos, ccp_claim_word w) {
  const ccp_slot *s = &b->slots[pos & WINDOW_MASK];
  c->pos = pos;
  c->slot = (uint32_t)(pos & WINDOW_MASK);
  c->lap = w.lap;
  c->item = 0;
  c->waits_since = s->waits_since;
  c->attempt = s->attempt;
  c->len = (size_t)((uint64_t)s->len_high << 32 | s->len_low);
  if (s->place == CCP_IN_SLOT)
    c->body = s->body.bytes;
  else if (s->place == CCP_IN_ANNEX)
    c->body = b->annexes + (size_t)c->slot * CCP_ANNEX_BYTES;
  else
    c->body = s->body.block;
}

/* head only ever grows to positions below which nothing is READY, so a lost
** race leaves it low, which costs a look and no call. */
static void advance_head(ccp_board *b, uint64_t to) {
  uint64_t head = atomic_load_explicit(&b->head, memory_order_relaxed);
  if (head < to)
    atomic_compare_exchange_strong_explicit(
        &b->head, &head, to, memory_order_relaxed, memory_order_relaxed);
}

int ccp_board_claim(ccp_board *b, uint32_t me, ccp_claim *c) {
  uint64_t pos = atomic_load_explicit(&b->head, memory_order_relaxed);
  uint64_t tail = atomic_load_explicit(&b->tail, memory_order_acquire);
  for (; pos < tail; pos++) {
    _Atomic uint64_t *word = &b->slots[pos & WINDOW_MASK].word;
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    ccp_claim_word w = ccp_word_unpack(old);
    if (w.state != CCP_READY || w.lap != lap_of(pos))
      continue;
    w.state = CCP_CLAIMED;
    w.worker = (uint16_t)me;
    w.next = 1;
    /* acquire: the body behind READY; release: what this worker replied to
    ** earlier calls is visible to who sees CLAIMED */
    if (!atomic_compare_exchange_strong_explicit(word, &old, ccp_word_pack(w),
                                                 memory_order_acq_rel,
                                                 memory_order_relaxed))
      continue;
    __builtin_prefetch(&b->slots[(pos + 1) & WINDOW_MASK], 1);
    advance_head(b, pos + 1);
    fill(b, c, pos, w);
    return 1;
  }
  advance_head(b, tail);
  return 0;
}

int ccp_board_next(ccp_board *b, uint32_t me, ccp_claim *c) {
  _Atomic uint64_t *word = &b->slots[c->slot].word;
  uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
  for (;;) {
    ccp_claim_word w = ccp_word_unpack(old);
    if (w.state != CCP_CLAIMED || w.worker != me || w.lap != c->lap ||
        w.next >= w.limit)
      return 0;
    c->item = w.next++;
    if (atomic_compare_exchange_weak_explicit(word, &old, ccp_word_pack(w),
                                              memory_order_acq_rel,
                                              memory_order_relaxed))
      return 1;
  }
}

int ccp_board_any(const ccp_board *b) {
  return atomic_load_explicit(&b->head, memory_order_relaxed) <
         atomic_load_explicit(&b->tail, memory_order_seq_cst);
}

static int may_sleep(const ccp_board *b, const ccp_record *r) {
  return !ccp_board_any(b) &&
         !atomic_load_explicit(&b->closing, memory_order_seq_cst) &&
         atomic_load_explicit(&b->news_n, memory_order_seq_cst) ==
             atomic_load_explicit(&r->heard, memory_order_relaxed) &&
         !atomic_load_explicit(&r->quit, memory_order_seq_cst) &&
         atomic_load_explicit(&r->bell, memory_order_seq_cst) == CCP_DOZING;
}

/* The order is: bell DOZING, idle bit set, look again, sleep. Whoever posts
** does it the other way round (tail, then idle bit, then bell), so one of the
** two sees the other. The watchful bit is taken back before the last
** look for the same reason. */
void ccp_board_sleep(ccp_board *b, uint32_t me) {
  ccp_record *r = &b->records[me];
  _Atomic uint64_t *idle = &b->idle[me / 64], *watchful = &b->watchful[me / 64];
  uint64_t bit = (uint64_t)1 << me % 64, tail = 0;
  atomic_store_explicit(&r->bell, CCP_DOZING, memory_order_seq_cst);
  atomic_fetch_or_explicit(idle, bit, memory_order_seq_cst);
  atomic_fetch_or_explicit(watchful, bit, memory_order_seq_cst);
  CCP_FAULT("idle");
  while (may_sleep(b, r) && /* as long as calls come, watch */
         tail != atomic_load_explicit(&b->tail, memory_order_relaxed)) {
    tail = atomic_load_explicit(&b->tail, memory_order_relaxed);
    (void)ccp_futex_wait(&r->bell, CCP_DOZING, ccp_clock_now_ns() + WATCH_NS);
  }
  atomic_fetch_and_explicit(watchful, ~bit, memory_order_seq_cst);
  if (b->idle_ns && may_sleep(b, r)) { /* the supervisor counts from now */
    atomic_store_explicit(&r->idle_ns, ccp_clock_now_ns(),
                          memory_order_relaxed);
    ccp_board_call_supervisor(b);
  }
  while (may_sleep(b, r))
    (void)ccp_futex_wait(&r->bell, CCP_DOZING, CCP_NEVER);
  atomic_store_explicit(&r->idle_ns, 0, memory_order_relaxed);
  atomic_fetch_and_explicit(idle, ~bit, memory_order_seq_cst);
  atomic_store_explicit(&r->bell, CCP_AWAKE, memory_order_seq_cst);
}

/* The flag spares the system call while the supervisor has not looked; it
** takes the flag back before it looks. */
void ccp_board_call_supervisor(ccp_board *b) {
  if (atomic_load_explicit(&b->rung, memory_order_seq_cst) ||
      atomic_exchange_explicit(&b->rung, 1, memory_order_seq_cst))
    return;
  CCP_FAULT("calling");
  ccp_fd_ring(b->supervisor_fd);
}

/* The flag is set before the count and cleared after it: a worker that dies in
** between is counted out once too often (ccp_board_bury), and a count that is
** too low only lets one more search. */
int ccp_board_search_enter(ccp_board *b, uint32_t me) {
  if (!ccp_board_spin_enter(b))
    return 0;
  atomic_store_explicit(&b->records[me].spinning, 1, memory_order_relaxed);
  CCP_FAULT("searching");
  atomic_fetch_add_explicit(&b->searching, 1, memory_order_seq_cst);
  return 1;
}

void ccp_board_search_leave(ccp_board *b, uint32_t me) {
  atomic_fetch_sub_explicit(&b->searching, 1, memory_order_seq_cst);
  ccp_board_spin_leave(b);
  atomic_store_explicit(&b->records[me].spinning, 0, memory_order_relaxed);
}

int ccp_board_spin_enter(ccp_board *b) {
  int32_t n = atomic_load_explicit(&b->spinners, memory_order_relaxed);
  while (n < (int32_t)b->spin_most)
    if (atomic_compare_exchange_weak_explicit(&b->spinners, &n, n + 1,
                                              memory_order_relaxed,
                                              memory_order_relaxed))
      return 1;
  return 0;
}

void ccp_board_spin_leave(ccp_board *b) {
  atomic_fetch_sub_explicit(&b->spinners, 1, memory_order_relaxed);
}
