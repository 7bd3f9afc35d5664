/*
** Tests of task/board.h: every transition of a slot's word, alone and against
** another thread, and who is woken. What needs whole workers is in
** test_crew.c.
**
** Size: one test for each transition, which belong together.
*/
#include "task/board.h"

#include <sched.h>
#include <string.h>

#include "check.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/thread.h"

enum { WORKERS = 3 };

typedef struct fixture {
  ccp_board *b;
  ccp_poster p;
} fixture;

static fixture open_board(void) {
  fixture f;
  memset(&f, 0, sizeof f);
  f.b = ccp_board_new(WORKERS, 0);
  f.p.woken = CCP_NOBODY;
  if (!CHECK(f.b != NULL))
    exit(EXIT_FAILURE);
  atomic_store(&f.b->high, WORKERS);
  f.b->spin_most = 1;
  return f;
}

/* Lets the next position be 'pos', as if that many calls had been posted. */
static void jump(fixture *f, uint64_t pos) {
  f->p.tail = pos;
  atomic_store(&f->b->tail, pos);
  atomic_store(&f->b->head, pos);
}

static int post(fixture *f, uint32_t n, uint32_t items) {
  int slot = ccp_board_room(f->b, &f->p);
  if (slot >= 0)
    ccp_board_post(f->b, &f->p, slot,
                   &(ccp_call){&n, sizeof n, 0, items, 1, 0});
  return slot;
}

static uint32_t number_in(const ccp_claim *c) {
  uint32_t n = UINT32_MAX;
  if (c->len == sizeof n)
    memcpy(&n, c->body, sizeof n);
  return n;
}

/* ------------------------------------------------------------ the word */

static void words_keep_their_fields(void) {
  const uint16_t some[] = {0, 1, 1023, 0x1234, 0x3fff, 59999, 60000, 0xffff};
  const int n = sizeof some / sizeof *some;
  for (int i = 0; i < 3 * n * n * n; i++) {
    ccp_claim_word w = {some[i / 3 % n], (uint8_t)(i % 3),
                        some[i / 3 / n % n] & 0x3fff, some[i / 3 / n / n],
                        some[(i + 3) % n]};
    ccp_claim_word u = ccp_word_unpack(ccp_word_pack(w));
    if (!CHECK(u.lap == w.lap && u.state == w.state && u.worker == w.worker &&
               u.next == w.next && u.limit == w.limit))
      return;
  }
}

static void fresh_board_is_empty(void) {
  fixture f = open_board();
  ccp_claim c;
  CHECK(!ccp_board_any(f.b) && !ccp_board_claim(f.b, 0, &c));
  CHECK(ccp_board_idle(f.b) == 0 && ccp_board_look(f.b, 0).state == CCP_FREE);
  CHECK(ccp_board_room(f.b, &f.p) == 0);
  CHECK(!ccp_board_retract(f.b, &f.p, 0) && ccp_board_cut(f.b, 0, 0) == -1);
  ccp_board_free(f.b);
  ccp_board_free(NULL);
}

static void one_call_goes_all_the_way(void) {
  fixture f = open_board();
  ccp_claim c;
  int slot = post(&f, 7, 1);
  ccp_claim_word w = ccp_board_look(f.b, slot);
  CHECK(slot == 0 && f.p.used == 1 && ccp_board_any(f.b));
  CHECK(w.state == CCP_READY && w.lap == 0 && w.next == 0 && w.limit == 1);
  CHECK(ccp_board_cut(f.b, slot, 0) == -1);
  CHECK(ccp_board_claim(f.b, 2, &c));
  CHECK(c.slot == 0 && c.pos == 0 && c.lap == 0 && c.item == 0);
  CHECK(number_in(&c) == 7 && !ccp_board_any(f.b));
  w = ccp_board_look(f.b, slot);
  CHECK(w.state == CCP_CLAIMED && w.worker == 2 && w.next == 1);
  CHECK(!ccp_board_claim(f.b, 1, &c) && !ccp_board_next(f.b, 2, &c));
  CHECK(!ccp_board_retract(f.b, &f.p, slot) && f.p.used == 1);
  ccp_board_release(f.b, &f.p, slot);
  CHECK(f.p.used == 0 && !ccp_board_claim(f.b, 1, &c));
  CHECK(post(&f, 8, 1) == 1 && ccp_board_claim(f.b, 0, &c));
  CHECK(c.pos == 1 && number_in(&c) == 8);
  ccp_board_free(f.b);
}

static void bodies_lie_where_they_fit(void) {
  static unsigned char bytes[CCP_ANNEX_BYTES];
  const size_t lens[] = {0, 1, CCP_SLOT_BYTES, CCP_SLOT_BYTES + 1,
                         CCP_ANNEX_BYTES};
  fixture f = open_board();
  ccp_claim c;
  for (int i = 0; i < 5; i++) {
    int slot = ccp_board_room(f.b, &f.p);
    memset(bytes, i + 1, sizeof bytes);
    ccp_board_post(f.b, &f.p, slot, &(ccp_call){bytes, lens[i], 0, 1, 1, 0});
    memset(bytes, 0x55, sizeof bytes);
    CHECK(ccp_board_claim(f.b, 0, &c) && c.len == lens[i]);
    CHECK(f.b->slots[slot].place ==
          (lens[i] <= CCP_SLOT_BYTES ? CCP_IN_SLOT : CCP_IN_ANNEX));
    CHECK(lens[i] == 0 || (c.body[0] == i + 1 && c.body[lens[i] - 1] == i + 1));
  }
  ccp_board_post(f.b, &f.p, ccp_board_room(f.b, &f.p),
                 &(ccp_call){bytes, ((size_t)5 << 32) + 3, 1, 1, 1, 0});
  CHECK(ccp_board_claim(f.b, 0, &c) && c.body == bytes);
  CHECK(c.len == ((size_t)5 << 32) + 3);
  ccp_board_free(f.b);
}

/* ------------------------------------------------------------ chunks */

static void chunk_gives_one_item_at_a_time(void) {
  fixture f = open_board();
  ccp_claim c, other;
  int slot = post(&f, 1, 4);
  CHECK(atomic_load(&f.b->chunks) == 1 && f.p.taken[slot] == 2);
  CHECK(ccp_board_claim(f.b, 1, &c) && c.item == 0);
  other = c;
  for (uint16_t i = 1; i < 4; i++) {
    CHECK(ccp_board_next(f.b, 1, &c) && c.item == i);
    CHECK(ccp_board_look(f.b, slot).next == i + 1);
    CHECK(!ccp_board_next(f.b, 0, &other)); /* not its worker */
  }
  CHECK(!ccp_board_next(f.b, 1, &c) && !ccp_board_next(f.b, 1, &c));
  ccp_board_release(f.b, &f.p, slot);
  CHECK(atomic_load(&f.b->chunks) == 0);
  ccp_board_free(f.b);
}

static void cut_takes_what_has_not_begun(void) {
  fixture f = open_board();
  ccp_claim c;
  int slot = post(&f, 1, CCP_ITEMS_MOST);
  CHECK(ccp_board_cut(f.b, slot, 0) == -1); /* READY: retract takes all */
  CHECK(ccp_board_claim(f.b, 0, &c) && ccp_board_next(f.b, 0, &c));
  CHECK(ccp_board_cut(f.b, slot, CCP_ITEMS_MOST - 2) == -1);
  CHECK(ccp_board_cut(f.b, slot, 3) == 5);
  CHECK(ccp_board_cut(f.b, slot, 3) == -1);
  for (uint16_t i = 2; i < 4; i++)
    CHECK(ccp_board_next(f.b, 0, &c) && c.item == i);
  CHECK(ccp_board_cut(f.b, slot, 0) == 4);
  CHECK(!ccp_board_next(f.b, 0, &c) && ccp_board_cut(f.b, slot, 0) == -1);
  CHECK(!ccp_board_retract(f.b, &f.p, slot));
  ccp_board_free(f.b);
}

static void worker_leaves_a_reused_slot_alone(void) {
  fixture f = open_board();
  ccp_claim old, c;
  int slot = post(&f, 1, 2);
  CHECK(ccp_board_claim(f.b, 0, &old) && ccp_board_next(f.b, 0, &old));
  ccp_board_release(f.b, &f.p, slot);
  jump(&f, CCP_WINDOW);
  CHECK(post(&f, 2, 9) == slot && !ccp_board_next(f.b, 0, &old));
  CHECK(ccp_board_claim(f.b, 0, &c) && c.slot == old.slot && c.lap == 1);
  CHECK(!ccp_board_next(f.b, 0, &old) && ccp_board_next(f.b, 0, &c));
  ccp_board_free(f.b);
}

/* ------------------------------------------------------------ the window */

static void retracted_call_is_never_run(void) {
  fixture f = open_board();
  ccp_claim c;
  int first = post(&f, 1, 1), second = post(&f, 2, 3), third = post(&f, 3, 1);
  CHECK(ccp_board_retract(f.b, &f.p, first));
  CHECK(ccp_board_retract(f.b, &f.p, second));
  CHECK(!ccp_board_retract(f.b, &f.p, second));
  CHECK(ccp_board_look(f.b, first).state == CCP_FREE && f.p.used == 1);
  CHECK(atomic_load(&f.b->chunks) == 0);
  CHECK(ccp_board_claim(f.b, 0, &c) && c.slot == (uint32_t)third);
  CHECK(!ccp_board_retract(f.b, &f.p, third));
  CHECK(!ccp_board_claim(f.b, 0, &c));
  ccp_board_free(f.b);
}

static void full_window_takes_no_more(void) {
  fixture f = open_board();
  ccp_claim c;
  for (uint32_t i = 0; i < CCP_WINDOW; i++)
    if (!CHECK(post(&f, i, 1) == (int)i))
      return;
  CHECK(ccp_board_room(f.b, &f.p) == -1 && post(&f, 0, 1) == -1);
  for (uint32_t i = 0; i < CCP_WINDOW; i++)
    if (!CHECK(ccp_board_claim(f.b, i % WORKERS, &c) && number_in(&c) == i))
      return;
  CHECK(ccp_board_room(f.b, &f.p) == -1 && !ccp_board_any(f.b));
  ccp_board_release(f.b, &f.p, 700); /* the others still run: skipped */
  CHECK(post(&f, 4711, 1) == 700 && post(&f, 0, 1) == -1);
  CHECK(ccp_board_claim(f.b, 0, &c) && number_in(&c) == 4711 && c.lap == 1);
  CHECK(c.slot == 700 && !ccp_board_claim(f.b, 0, &c));
  ccp_board_free(f.b);
}

/* Three calls run for many laps, over the end of the lap's 16 bits. */
static void ring_goes_on_around_long_calls(void) {
  const uint64_t start = (uint64_t)CCP_WINDOW * 65534 + 1000;
  fixture f = open_board();
  ccp_claim c, held[3];
  uint32_t right = 0, total = 5 * CCP_WINDOW;
  jump(&f, start);
  for (int i = 0; i < 3; i++) {
    CHECK(post(&f, 0, 3) >= 0 && ccp_board_claim(f.b, 1, &held[i]));
    for (uint32_t n = 0; n < 17; n++) {
      (void)post(&f, n, 1);
      right += ccp_board_claim(f.b, 0, &c) && number_in(&c) == n;
      ccp_board_release(f.b, &f.p, (int)c.slot);
    }
  }
  CHECK(right == 3 * 17);
  right = 0;
  for (uint32_t n = 0; n < total; n += 4) { /* four at once, oldest first */
    for (uint32_t k = 0; k < 4; k++)
      (void)post(&f, n + k, 1);
    for (uint32_t k = 0; k < 4 && ccp_board_claim(f.b, k % 3, &c); k++) {
      right += number_in(&c) == n + k && c.slot != held[0].slot &&
               c.slot != held[1].slot && c.slot != held[2].slot;
      ccp_board_release(f.b, &f.p, (int)c.slot);
    }
  }
  CHECK(right == total && f.p.used == 3 && !ccp_board_any(f.b));
  CHECK(f.p.tail - start > total);
  for (int i = 0; i < 3; i++)
    CHECK(ccp_board_next(f.b, 1, &held[i]) && ccp_board_next(f.b, 1, &held[i]));
  ccp_board_free(f.b);
}

/* ------------------------------------------------------------ races */

typedef struct race {
  fixture f;
  uint32_t rounds, items;
  _Atomic uint32_t round;   /* the parent's: this round's call is posted */
  _Atomic uint32_t answers; /* the worker's: it has tried that often */
  _Atomic uint32_t got;     /* items the worker claimed, of all rounds */
} race;

/* Yields, for there may be one processor only. */
static void wait_for(_Atomic uint32_t *word, uint32_t n) {
  for (int i = 1; atomic_load_explicit(word, memory_order_acquire) < n; i++)
    if (i % 1000 == 0)
      (void)sched_yield();
    else
      ccp_clock_pause();
}

static void race_worker(void *arg) {
  race *r = arg;
  for (uint32_t i = 1; i <= r->rounds; i++) {
    ccp_claim c;
    uint32_t got = 0;
    wait_for(&r->round, i);
    if (ccp_board_claim(r->f.b, 1, &c))
      do
        got++;
      while (ccp_board_next(r->f.b, 1, &c));
    atomic_fetch_add(&r->got, got);
    atomic_fetch_add(&r->answers, 1);
  }
}

static void delay(uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    ccp_clock_pause();
}

static void one_wins_retracting_or_claiming(void) {
  race r = {.f = open_board(), .rounds = 30000, .items = 1};
  ccp_thread t = {0};
  uint32_t back = 0;
  CHECK(ccp_thread_start(&t, race_worker, &r, 0) == CCP_OK);
  for (uint32_t i = 1; i <= r.rounds; i++) {
    uint32_t before = back;
    int slot = post(&r.f, i, 1);
    atomic_store(&r.round, i);
    delay(i % 8);
    back += (uint32_t)ccp_board_retract(r.f.b, &r.f.p, slot);
    wait_for(&r.answers, i);
    if (back == before)
      ccp_board_release(r.f.b, &r.f.p, slot);
    if (!CHECK(back + atomic_load(&r.got) == i && r.f.p.used == 0))
      exit(check_tally());
  }
  CHECK(ccp_thread_join(&t, CCP_NEVER) == CCP_OK);
  CHECK(back + atomic_load(&r.got) == r.rounds);
  ccp_board_free(r.f.b);
}

static void cut_and_next_share_the_items(void) {
  race r = {.f = open_board(), .rounds = 10000, .items = 40};
  ccp_thread t = {0};
  uint32_t back = 0, total = 0;
  CHECK(ccp_thread_start(&t, race_worker, &r, 0) == CCP_OK);
  for (uint32_t i = 1; i <= r.rounds; i++) {
    int slot = post(&r.f, i, r.items), from;
    uint32_t end = r.items;
    total += r.items;
    atomic_store(&r.round, i);
    while (ccp_board_look(r.f.b, slot).state != CCP_CLAIMED)
      (void)sched_yield();
    for (uint32_t keep = i % 32; keep < 64; keep = keep ? keep / 2 : 64) {
      from = ccp_board_cut(r.f.b, slot, keep);
      CHECK(from < (int)end);
      back += from < 0 ? 0 : end - (uint32_t)from;
      end = from < 0 ? end : (uint32_t)from;
    }
    wait_for(&r.answers, i);
    ccp_board_release(r.f.b, &r.f.p, slot);
    if (!CHECK(back + atomic_load(&r.got) == total))
      exit(check_tally());
  }
  CHECK(ccp_thread_join(&t, CCP_NEVER) == CCP_OK);
  ccp_board_free(r.f.b);
}

/* ------------------------------------------------------------ sleeping */

static void worker_does_not_sleep_with_a_reason_not_to(void) {
  fixture f = open_board();
  ccp_claim c;
  CHECK(post(&f, 1, 1) == 0);
  ccp_board_sleep(f.b, 0);
  CHECK(ccp_board_claim(f.b, 0, &c));
  atomic_store(&f.b->records[0].quit, 1);
  ccp_board_sleep(f.b, 0);
  atomic_store(&f.b->closing, 1);
  ccp_board_sleep(f.b, 1);
  CHECK(ccp_board_idle(f.b) == 0);
  ccp_board_free(f.b);
}

typedef struct sleeper {
  ccp_thread thread;
  ccp_board *b;
  uint32_t me;
  ccp_claim claim;
  int claimed;
} sleeper;

static void sleep_and_claim(void *arg) {
  sleeper *s = arg;
  do {
    ccp_board_sleep(s->b, s->me);
    s->claimed = ccp_board_claim(s->b, s->me, &s->claim);
  } while (!s->claimed && !atomic_load(&s->b->closing));
  if (s->claimed)
    ccp_board_pass_on(s->b);
}

static void start_sleepers(fixture *f, sleeper *s) {
  memset(s, 0, WORKERS * sizeof *s);
  for (uint32_t i = 0; i < WORKERS; i++) {
    s[i].b = f->b;
    s[i].me = i;
    CHECK(ccp_thread_start(&s[i].thread, sleep_and_claim, &s[i], 0) == CCP_OK);
  }
  while (ccp_board_idle(f->b) < WORKERS)
    (void)sched_yield();
}

static int count_claimed(sleeper *s) {
  int n = 0;
  for (uint32_t i = 0; i < WORKERS; i++) {
    CHECK(ccp_thread_join(&s[i].thread, CCP_NEVER) == CCP_OK);
    n += s[i].claimed;
  }
  return n;
}

/* The parent wakes one; each wakes the next while there is something left. */
static void one_wake_up_is_passed_on(void) {
  for (int round = 0; round < 200; round++) {
    fixture f = open_board();
    sleeper s[WORKERS];
    start_sleepers(&f, s);
    for (uint32_t i = 0; i < WORKERS; i++)
      (void)post(&f, i, 1);
    ccp_board_wake(f.b, &f.p);
    CHECK(count_claimed(s) == WORKERS);
    CHECK(ccp_board_idle(f.b) == 0 && !ccp_board_any(f.b));
    ccp_board_free(f.b);
  }
}

static void each_post_with_its_wake_is_enough(void) {
  for (int round = 0; round < 200; round++) {
    fixture f = open_board();
    sleeper s[WORKERS];
    start_sleepers(&f, s);
    for (uint32_t i = 0; i < WORKERS; i++) {
      (void)post(&f, i, 1);
      ccp_board_wake(f.b, &f.p);
      delay((uint32_t)round);
    }
    CHECK(count_claimed(s) == WORKERS);
    ccp_board_free(f.b);
  }
}

static void closing_wakes_all(void) {
  fixture f = open_board();
  sleeper s[WORKERS];
  start_sleepers(&f, s);
  atomic_store(&f.b->closing, 1);
  ccp_board_wake_all(f.b, &f.p);
  CHECK(count_claimed(s) == 0 && ccp_board_idle(f.b) == 0);
  ccp_board_free(f.b);
}

static void searchers_are_counted(void) {
  fixture f = open_board();
  CHECK(ccp_board_search_enter(f.b, 0));
  CHECK(!ccp_board_search_enter(f.b, 1) && !ccp_board_spin_enter(f.b));
  CHECK(atomic_load(&f.b->searching) == 1);
  ccp_board_search_leave(f.b, 0);
  CHECK(ccp_board_spin_enter(f.b) && !ccp_board_search_enter(f.b, 1));
  CHECK(atomic_load(&f.b->searching) == 0);
  ccp_board_spin_leave(f.b);
  CHECK(ccp_board_search_enter(f.b, 1));
  ccp_board_bury(f.b, &f.p, 1); /* it died searching */
  CHECK(atomic_load(&f.b->searching) == 0 && atomic_load(&f.b->spinners) == 0);
  f.b->spin_most = 0;
  CHECK(!ccp_board_spin_enter(f.b));
  ccp_board_free(f.b);
}

int main(void) {
  RUN(words_keep_their_fields);
  RUN(fresh_board_is_empty);
  RUN(one_call_goes_all_the_way);
  RUN(bodies_lie_where_they_fit);
  RUN(chunk_gives_one_item_at_a_time);
  RUN(cut_takes_what_has_not_begun);
  RUN(worker_leaves_a_reused_slot_alone);
  RUN(retracted_call_is_never_run);
  RUN(full_window_takes_no_more);
  RUN(ring_goes_on_around_long_calls);
  RUN(one_wins_retracting_or_claiming);
  RUN(cut_and_next_share_the_items);
  RUN(worker_does_not_sleep_with_a_reason_not_to);
  RUN(one_wake_up_is_passed_on);
  RUN(each_post_with_its_wake_is_enough);
  RUN(closing_wakes_all);
  RUN(searchers_are_counted);
  return check_tally();
}
