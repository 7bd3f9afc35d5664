/*
** Tests of board, rings, arena and worker loop together, with worker threads
** and with processes that are killed at any moment: no item is lost, none runs
** twice, nobody sleeps while there is work for it.
*/
#include "crew.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "os/clock.h"
#include "os/codes.h"
#include "shared/arena.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SLOW = 4 };
#else
enum { SLOW = 1 };
#endif

enum { MS = 1000000 };

static void doze(long ns) {
  struct timespec t = {0, ns};
  (void)nanosleep(&t, NULL);
}

/* ------------------------------------------------------------ many items */

/* Most replies are small; some fill the ring, some lie in a block. */
static size_t mixed_run(crew *c, uint32_t me, uint32_t id) {
  uint32_t r = crew_mix(id ^ 0x5eed);
  (void)c;
  (void)me;
  if (r % 997 == 0)
    doze(2 * MS); /* the ring goes on around it */
  if (r % 211 == 0)
    return CCP_REPLY_BYTES - r % 5;
  if (r % 499 == 1)
    return CCP_REPLY_BYTES + 1 + r % 100000;
  return 4 + r % 60;
}

/* Most bodies lie in the slot, some in the annex, few in a block. */
static size_t mixed_argument(uint32_t id) {
  uint32_t r = crew_mix(id ^ 0xb0d1);
  if (r % 397 == 0)
    return CCP_ANNEX_BYTES + r % 1000;
  return r % 61 == 0 ? r % 3000 : r % 40;
}

static uint32_t chunk_size(uint32_t first) {
  uint32_t r = crew_mix(first ^ 0xc0c0);
  return r % 3 ? 1 : 2 + r % 50;
}

static void wait_until(crew *c, uint32_t finished) {
  while (c->finished < finished) {
    crew_fill(c);
    crew_wait(c, CCP_NEVER);
  }
}

/* Posts in bursts and waits in between, now and then until all workers are
** idle; some calls are cancelled. */
static void post_all(crew *c) {
  uint32_t first = 0, burst = 0;
  while (first < c->total) {
    uint32_t n = chunk_size(first);
    n = n < c->total - first ? n : c->total - first;
    crew_post(c, first, n);
    crew_fill(c);
    if (crew_mix(first) % 37 == 0)
      (void)crew_cancel(c, (int)(crew_mix(first ^ 9) % CCP_WINDOW));
    first += n;
    if (burst == 0) {
      burst = crew_mix(first ^ 0xb) % 400;
      if (burst % 8 == 1) /* fills the window, and more */
        burst += 2 * CCP_WINDOW;
      wait_until(c, burst % 4 ? c->finished + (c->finished < first) : first);
    } else
      burst--;
  }
}

static void threads_lose_and_double_nothing(void) {
  crew c;
  crew_init(&c, 4, 100000 / SLOW, 0);
  c.run = mixed_run;
  c.argument = mixed_argument;
  /* the laps come to the end of their 16 bits meanwhile */
  c.poster.tail = (uint64_t)CCP_WINDOW * 65535 - 300;
  atomic_store(&c.board->tail, c.poster.tail);
  atomic_store(&c.board->head, c.poster.tail);
  crew_start_threads(&c);
  post_all(&c);
  wait_until(&c, c.total);
  crew_close(&c);
  CHECK(crew_faults(&c, c.total) == 0 && c.poster.used == 0);
  CHECK(atomic_load(&c.board->chunks) == 0 && ccp_board_idle(c.board) == 0);
  CHECK(atomic_load(&c.board->searching) == 0);
  CHECK(atomic_load(&c.board->spinners) == 0);
  crew_fini(&c);
}

/* One after the other, with pauses around the time a worker takes to fall
** asleep: each must be seen. */
static void single_calls_find_a_worker(void) {
  crew c;
  crew_init(&c, 3, 20000 / SLOW, 0);
  crew_start_threads(&c);
  for (uint32_t id = 0; id < c.total; id++) {
    uint32_t pause = crew_mix(id) % 4 ? 0 : crew_mix(id) % 1500;
    crew_post(&c, id, 1);
    crew_fill(&c);
    while (c.finished <= id)
      crew_wait(&c, CCP_NEVER);
    for (uint32_t i = 0; i < pause; i++)
      ccp_clock_pause();
  }
  crew_close(&c);
  CHECK(crew_faults(&c, c.total) == 0);
  crew_fini(&c);
}

/* ------------------------------------------------------------ long items */

/* Even items last until the gate is open for them. */
static size_t gated_run(crew *c, uint32_t me, uint32_t id) {
  (void)me;
  for (int i = 1; id % 2 == 0 && atomic_load(&c->shared->gate) <= id; i++)
    if (i % 10000 == 0)
      (void)sched_yield();
    else
      ccp_clock_pause();
  return 4;
}

static int done_in_time(crew *c, uint32_t id) {
  int64_t until = ccp_clock_now_ns() + 3 * CCP_NS_PER_S;
  while (c->outcome[id] == CREW_NONE && ccp_clock_now_ns() < until)
    crew_wait(c, 100 * MS);
  return c->outcome[id] != CREW_NONE;
}

static void open_gate(crew *c, uint32_t id) {
  atomic_store(&c->shared->gate, id + 1);
}

static void spin(uint32_t n) {
  while (n-- > 0)
    ccp_clock_pause();
}

/* The first of two calls blocks whoever takes it, which may be a worker that
** just falls asleep; the second must be taken by the other one, which sleeps
** long since and looks for nothing by itself. */
static void no_call_waits_behind_a_long_one(uint32_t rounds, uint32_t searchers,
                                            long pause_ns) {
  crew c;
  int in_time = 1;
  crew_init(&c, 2, 2 * rounds, 0);
  c.run = gated_run;
  c.board->spin_most = searchers;
  crew_start_threads(&c);
  for (uint32_t id = 0; id < c.total && in_time; id += 2) {
    crew_post(&c, id, 1);
    crew_fill(&c);
    spin(crew_mix(id) % 500);
    crew_post(&c, id + 1, 1);
    crew_fill(&c);
    in_time = CHECK(done_in_time(&c, id + 1));
    if (pause_ns)
      doze(pause_ns);
    open_gate(&c, id);
    spin(crew_mix(id) % 40);
  }
  while (c.finished < c.total && in_time)
    crew_wait(&c, CCP_NEVER);
  crew_close(&c);
  CHECK(!in_time || crew_faults(&c, c.total) == 0);
  crew_fini(&c);
}

static void no_call_waits_behind_a_long_one_in_a_hurry(void) {
  no_call_waits_behind_a_long_one(1000 / SLOW, 1, 0);
}

static void no_call_waits_behind_a_long_one_at_leisure(void) {
  no_call_waits_behind_a_long_one(200, 0, 3 * MS);
}

/* Items 0 to 18 fill the ring, item 19 stays until the gate opens. */
static size_t filling_run(crew *c, uint32_t me, uint32_t id) {
  (void)me;
  while (id == 19 && atomic_load(&c->shared->gate) == 0)
    doze(MS);
  return id < 19 ? CCP_REPLY_BYTES : 4;
}

/* The one woken last waited for room in its ring, and is long since at work:
** it must not pass for one on its way. */
static void worker_that_waited_for_room_is_not_on_its_way(void) {
  crew c;
  crew_init(&c, 2, 21, 0);
  c.run = filling_run;
  crew_start_threads(&c);
  while (ccp_board_idle(c.board) < 2)
    doze(MS);
  crew_post(&c, 0, 20);
  crew_fill(&c);
  doze(20 * MS); /* the ring is full now */
  while (c.finished < 19)
    crew_wait(&c, CCP_NEVER);
  while (ccp_board_idle(c.board) < 1)
    doze(MS);
  crew_post(&c, 20, 1);
  crew_fill(&c);
  CHECK(done_in_time(&c, 20));
  open_gate(&c, 19);
  while (c.finished < 20)
    crew_wait(&c, CCP_NEVER);
  crew_close(&c);
  crew_fini(&c);
}

/* ------------------------------------------------------------ deaths */

static void bury(crew *c, uint32_t w) {
  int status;
  CHECK(waitpid(c->worker[w].pid, &status, 0) == c->worker[w].pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  crew_settle(c, w);
  crew_fork(c, w);
  crew_fill(c);
}

/* A reply that is lost with a wake-up is found when the slice is over: a worker
** may die between taking the duty to wake and waking. */
static void wait_a_slice(crew *c) {
  crew_wait(c, 2 * MS);
}

static uint32_t kill_and_post(crew *c, uint32_t kills) {
  uint32_t first = 0, seed = (uint32_t)getpid();
  for (uint32_t k = 0; k < kills && first < c->total; k++) {
    uint32_t w = crew_mix(seed + k) % c->workers;
    uint32_t steps = 1 + crew_mix(seed ^ (k << 8)) % 12;
    for (uint32_t i = 0; i < steps && first < c->total; i++) {
      uint32_t n = chunk_size(first);
      n = n < c->total - first ? n : c->total - first;
      crew_post(c, first, n);
      crew_fill(c);
      first += n;
      if (crew_mix(k + i) % 5 == 0)
        crew_wait(c, MS / 10);
    }
    for (uint32_t i = crew_mix(k ^ seed) % 3000; i > 0; i--)
      ccp_clock_pause();
    (void)kill(c->worker[w].pid, SIGKILL);
    bury(c, w);
  }
  return first;
}

/* Blocks of each size, all different, and all as they were written. */
static void arena_is_sound(void) {
  enum { N = 400 };
  static uint32_t *block[N];
  for (uint32_t i = 0; i < N; i++) {
    size_t len = (size_t)64 << crew_mix(i) % 13;
    block[i] = ccp_arena_alloc(len, NULL);
    if (!CHECK(block[i] && ccp_arena_valid(block[i], len)))
      return;
    for (size_t k = 0; k < len / sizeof i; k++)
      block[i][k] = i;
  }
  for (uint32_t i = 0; i < N; i++) {
    size_t n = ((size_t)64 << crew_mix(i) % 13) / sizeof i;
    CHECK(block[i][0] == i && block[i][n / 2] == i && block[i][n - 1] == i);
    ccp_arena_free(block[i]);
  }
}

static size_t mortal_run(crew *c, uint32_t me, uint32_t id) {
  uint32_t r = crew_mix(id ^ 0xdead);
  (void)c;
  (void)me;
  if (r % 23 == 0)
    doze(MS / 10);
  if (r % 31 == 0)
    return CCP_REPLY_BYTES / 2;
  return r % 17 == 0 ? CCP_REPLY_BYTES + 1 + r % 100000 : 4 + r % 60;
}

static void killed_processes_lose_and_double_nothing(void) {
  crew c;
  uint32_t posted, kills = 600 / (SLOW > 1 ? 2 : 1);
  CHECK(ccp_arena_open() == CCP_OK);
  crew_init(&c, 3, 60000, 1);
  c.run = mortal_run;
  c.argument = mixed_argument;
  for (uint32_t w = 0; w < c.workers; w++)
    crew_fork(&c, w);
  posted = kill_and_post(&c, kills);
  while (c.finished < posted) {
    crew_fill(&c);
    wait_a_slice(&c);
  }
  crew_close(&c);
  CHECK(posted > kills && crew_faults(&c, posted) == 0);
  CHECK(c.poster.used == 0 && c.backlog_n == 0);
  arena_is_sound();
  crew_fini(&c);
}

/* CCP_FAULT: the worker kills itself when it comes to that point. */
#ifdef CCP_DEBUG
static void dies_at(const char *point) {
  crew c;
  char wish[32];
  crew_init(&c, 1, 64, 1);
  c.run = mortal_run;
  for (int nth = 1; nth <= 8; nth++) {
    uint32_t first = (uint32_t)(nth - 1) * 8;
    int status = 0;
    (void)snprintf(wish, sizeof wish, "%s:%d", point, nth);
    (void)setenv("CCP_FAULT", wish, 1);
    crew_fork(&c, 0);
    (void)unsetenv("CCP_FAULT");
    crew_post(&c, first, 5);
    crew_post(&c, first + 5, 2);
    crew_fill(&c);
    crew_wait(&c, 20 * MS); /* lets it sleep once, too */
    crew_post(&c, first + 7, 1);
    crew_fill(&c);
    while (c.finished < first + 8 &&
           waitpid(c.worker[0].pid, &status, WNOHANG) == 0) {
      crew_fill(&c);
      wait_a_slice(&c);
    }
    if (status == 0) { /* not so often did it come there */
      (void)kill(c.worker[0].pid, SIGKILL);
      (void)waitpid(c.worker[0].pid, &status, 0);
    }
    crew_settle(&c, 0);
    crew_fork(&c, 0);
    crew_fill(&c);
    while (c.finished < first + 8)
      wait_a_slice(&c);
    (void)kill(c.worker[0].pid, SIGKILL);
    (void)waitpid(c.worker[0].pid, &status, 0);
    crew_settle(&c, 0);
    c.worker[0].pid = 0;
    if (!CHECK(crew_faults(&c, first + 8) == 0))
      break;
  }
  crew_fini(&c);
}

static void process_dies_at_each_named_point(void) {
  const char *points[] = {"claim", "claimed", "run",
                          "reply", "replied", "sleep"};
  for (size_t i = 0; i < sizeof points / sizeof *points; i++)
    dies_at(points[i]);
}
#endif

int main(void) {
  CHECK(ccp_arena_open() == CCP_OK);
  RUN(killed_processes_lose_and_double_nothing);
#ifdef CCP_DEBUG
  RUN(process_dies_at_each_named_point);
#endif
  RUN(single_calls_find_a_worker);
  RUN(no_call_waits_behind_a_long_one_in_a_hurry);
  RUN(no_call_waits_behind_a_long_one_at_leisure);
  RUN(worker_that_waited_for_room_is_not_on_its_way);
  RUN(threads_lose_and_double_nothing);
  return check_tally();
}
