/*
** Tests of shared/mutex.h and shared/queue.h: whoever dies holding the mutex,
** the next is told; nothing is lost or doubled by threads and processes at
** once; kills at random moments leave a whole queue.
*/
#include "shared/queue.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "check.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/mapping.h"
#include "os/thread.h"
#include "shared/arena.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SLOW = 8 };
#else
enum { SLOW = 1 };
#endif

/* ------------------------------------------------------------ the mutex */

static void next_holder_is_told_of_a_death(void) {
  ccp_mutex *m = ccp_mapping_shared(4096);
  pid_t pid;
  CHECK(ccp_mutex_init(m) == CCP_OK);
  CHECK(!ccp_mutex_lock(m));
  ccp_mutex_unlock(m);
  pid = fork();
  if (pid == 0) {
    (void)ccp_mutex_lock(m);
    _exit(0);
  }
  (void)waitpid(pid, NULL, 0);
  CHECK(ccp_mutex_lock(m));
  ccp_mutex_unlock(m);
  CHECK(!ccp_mutex_lock(m));
  ccp_mutex_unlock(m);
  ccp_mapping_free(m, 4096);
}

typedef struct adder {
  ccp_mutex *m;
  long *sum;
  int n;
} adder;

static void add(void *arg) {
  const adder *a = arg;
  for (int i = 0; i < a->n; i++) {
    (void)ccp_mutex_lock(a->m);
    ++*a->sum;
    ccp_mutex_unlock(a->m);
  }
}

static void mutex_excludes_threads(void) {
  enum { N = 20000 / SLOW };
  ccp_mutex m;
  long sum = 0;
  adder a = {&m, &sum, N};
  ccp_thread t[3] = {0};
  CHECK(ccp_mutex_init(&m) == CCP_OK);
  for (int i = 0; i < 3; i++)
    CHECK(ccp_thread_start(&t[i], add, &a, 0) == CCP_OK);
  for (int i = 0; i < 3; i++)
    (void)ccp_thread_join(&t[i], CCP_NEVER);
  CHECK(sum == 3L * N);
}

/* ------------------------------------------------------------ the queue */

static ccp_object_name name_of(ccp_queue *q) {
  return (ccp_object_name){atomic_load(&q->object.id), q->object.index};
}

/* A number, in a message that is longer the larger the number's last digit. */
static int put_number(ccp_queue *q, uint64_t x, int64_t deadline_ns) {
  static const size_t lens[] = {8, 100, 3000, 20000};
  size_t len = CCP_ITEM_PREFIX + lens[x % 4];
  ccp_item_out item = {NULL, len, len > CCP_ITEM_INLINE, 0};
  int rc;
  _Alignas(16) unsigned char room[CCP_ITEM_INLINE] = {0};
  item.data = item.is_block ? ccp_arena_alloc(len, NULL) : room;
  if (!item.data)
    return CCP_E_NOMEM;
  if (item.is_block)
    ccp_hand_hold(item.data);
  memset(item.data + CCP_ITEM_PREFIX, (int)(x & 0xff), len - CCP_ITEM_PREFIX);
  memcpy(item.data + CCP_ITEM_PREFIX, &x, sizeof x);
  rc = ccp_queue_put(q, &item, deadline_ns);
  if (item.is_block)
    ccp_hand_drop(item.data);
  if (item.is_block && rc != CCP_OK)
    ccp_arena_free(item.data);
  return rc;
}

static int get_number(ccp_queue *q, uint64_t *x, int64_t deadline_ns) {
  _Alignas(16) unsigned char room[CCP_ITEM_INLINE];
  ccp_item_in item;
  int rc = ccp_queue_get(q, room, &item, deadline_ns);
  if (rc != CCP_OK)
    return rc;
  memcpy(x, item.data + CCP_ITEM_PREFIX, sizeof *x);
  for (size_t i = CCP_ITEM_PREFIX + sizeof *x; i < item.len; i++)
    if (item.data[i] != (*x & 0xff))
      rc = CCP_E_BADDATA;
  if (item.block) {
    ccp_hand_drop(item.block);
    ccp_arena_free(item.block);
  }
  return rc;
}

static void items_come_out_as_they_went_in(void) {
  ccp_queue *q = ccp_queue_new(0);
  uint64_t x;
  if (!CHECK(q != NULL))
    return;
  for (uint64_t i = 0; i < 1000; i++)
    CHECK(put_number(q, i, 0) == CCP_OK);
  CHECK(ccp_queue_size(q) == 1000);
  for (uint64_t i = 0; i < 1000; i++)
    CHECK(get_number(q, &x, 0) == CCP_OK && x == i);
  CHECK(get_number(q, &x, 0) == CCP_E_TIMEOUT);
  CHECK(get_number(q, &x, ccp_clock_now_ns() + 1000000) == CCP_E_TIMEOUT);
  ccp_queue_close(q);
  CHECK(get_number(q, &x, CCP_NEVER) == CCP_E_CLOSED);
  CHECK(put_number(q, 1, CCP_NEVER) == CCP_E_CLOSED);
  ccp_object_release(name_of(q));
}

enum { EACH = 8000 / SLOW, SIDES = 2 };

typedef struct side {
  ccp_queue *q;
  _Atomic uint64_t *sum, *count;
  uint64_t first;
} side;

static void produce(void *arg) {
  const side *s = arg;
  for (uint64_t i = 0; i < EACH; i++)
    CHECK(put_number(s->q, s->first + i, CCP_NEVER) == CCP_OK);
}

static void consume(void *arg) {
  const side *s = arg;
  uint64_t x;
  int rc;
  while ((rc = get_number(s->q, &x, CCP_NEVER)) != CCP_E_CLOSED) {
    CHECK(rc == CCP_OK);
    atomic_fetch_add(s->sum, x);
    atomic_fetch_add(s->count, 1);
  }
}

static pid_t as_process(void (*run)(void *), side *s) {
  pid_t pid = fork();
  if (pid == 0) {
    run(s);
    _exit(atomic_load(&check_wrong) ? 1 : 0);
  }
  return pid;
}

static void reap_well(pid_t pid) {
  int status = -1;
  (void)waitpid(pid, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Processes first: a thread sanitizer follows no fork of several threads. */
static void threads_and_processes_lose_and_double_nothing(void) {
  _Atomic uint64_t *shared = ccp_mapping_shared(4096);
  const uint64_t n = 2 * SIDES * EACH;
  ccp_queue *q = ccp_queue_new(64);
  side from[2 * SIDES], to = {q, &shared[0], &shared[1], 0};
  pid_t producers[SIDES], consumers[SIDES];
  ccp_thread t[2 * SIDES] = {0};
  if (!CHECK(q != NULL))
    return;
  for (uint64_t i = 0; i < 2 * SIDES; i++)
    from[i] = (side){q, NULL, NULL, i * EACH};
  for (int i = 0; i < SIDES; i++) {
    producers[i] = as_process(produce, &from[i]);
    consumers[i] = as_process(consume, &to);
  }
  for (int i = 0; i < SIDES; i++) {
    CHECK(ccp_thread_start(&t[i], produce, &from[SIDES + i], 0) == CCP_OK);
    CHECK(ccp_thread_start(&t[SIDES + i], consume, &to, 0) == CCP_OK);
  }
  for (int i = 0; i < SIDES; i++) {
    (void)ccp_thread_join(&t[i], CCP_NEVER);
    reap_well(producers[i]);
  }
  ccp_queue_close(q);
  for (int i = 0; i < SIDES; i++) {
    (void)ccp_thread_join(&t[SIDES + i], CCP_NEVER);
    reap_well(consumers[i]);
  }
  CHECK(atomic_load(to.count) == n);
  CHECK(atomic_load(to.sum) == n * (n - 1) / 2);
  ccp_object_release(name_of(q));
  ccp_mapping_free((void *)(uintptr_t)shared, 4096);
}

static void hammer(void *arg) {
  const side *s = arg;
  uint64_t x;
  for (uint64_t i = 0;; i++) {
    (void)put_number(s->q, i, 0);
    if (i % 2)
      (void)get_number(s->q, &x, 0);
  }
}

static void linger(unsigned us) {
  int64_t until = ccp_clock_now_ns() + (int64_t)us * 1000;
  while (ccp_clock_now_ns() < until)
    ccp_clock_pause();
}

static int in_use(void) {
  uint32_t objects, members;
  ccp_object_stats(&objects, &members);
  return (int)objects;
}

static void kills_leave_a_whole_queue(void) {
  enum { KILLS = 200 / SLOW };
  ccp_queue *q = ccp_queue_new(100);
  side s = {q, NULL, NULL, 0};
  size_t reserved, before, later, warm;
  uint64_t x;
  if (!CHECK(q != NULL))
    return;
  for (int k = 0; k < KILLS; k++) {
    pid_t pid = as_process(hammer, &s);
    uint64_t n;
    linger(200 + (unsigned)rand() % 2000);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    ccp_object_reap_now();
    n = ccp_queue_size(q);
    CHECK(n <= 100);
    for (uint64_t i = 0; i < n; i++)
      CHECK(get_number(q, &x, 0) == CCP_OK);
    CHECK(get_number(q, &x, 0) == CCP_E_TIMEOUT);
    CHECK(put_number(q, 3, 0) == CCP_OK); /* a large one */
    CHECK(get_number(q, &x, 0) == CCP_OK && x == 3);
    if (k == KILLS / 2)
      ccp_arena_stats(&reserved, &before, &warm);
  }
  ccp_arena_stats(&reserved, &later, &warm);
  CHECK(later - before < (KILLS / 2) * (size_t)4096);
  CHECK(in_use() == 1);
  ccp_object_release(name_of(q));
}

static void blocks_of_the_dead_come_back(void) {
  size_t reserved, before = 0, later, warm;
  ccp_queue *q = ccp_queue_new(0); /* or there would be no member to inherit */
  for (int k = 0; k < 50; k++) {
    pid_t pid = fork();
    if (pid == 0) {
      void *block = ccp_arena_alloc((size_t)1 << 20, NULL);
      ccp_hand_hold(block);
      _exit(block == NULL);
    }
    reap_well(pid);
    ccp_object_reap_now();
    if (k == 0)
      ccp_arena_stats(&reserved, &before, &warm);
  }
  ccp_arena_stats(&reserved, &later, &warm);
  CHECK(later == before);
  ccp_object_release(name_of(q));
}

static void an_inherited_handle_keeps_the_object(void) {
  ccp_queue *q = ccp_queue_new(0);
  ccp_object_name name = name_of(q);
  int go[2], status = 0;
  char c = 0;
  pid_t pid;
  CHECK(pipe(go) == 0);
  pid = fork();
  if (pid == 0) {
    uint64_t x = 0;
    int ok = read(go[0], &c, 1) == 1 && ccp_object_inherited(name) &&
             put_number(q, 7, 0) == CCP_OK && get_number(q, &x, 0) == CCP_OK;
    _exit(ok && x == 7 ? 0 : 1);
  }
  ccp_object_release(name);
  CHECK(write(go[1], &c, 1) == 1);
  (void)waitpid(pid, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(ccp_object_take(name, CCP_K_LOCK, 0) == NULL); /* of another kind */
  (void)close(go[0]);
  (void)close(go[1]);
}

static void a_stale_name_finds_nothing(void) {
  ccp_queue *q = ccp_queue_new(0), *other;
  ccp_object_name name = name_of(q), wild = {77, 1u << 30};
  CHECK(ccp_object_take(name, CCP_K_QUEUE, 0) == &q->object);
  ccp_object_release(name);
  ccp_object_release(name);
  CHECK(ccp_object_take(name, CCP_K_QUEUE, 0) == NULL);
  other = ccp_queue_new(0);
  CHECK(ccp_object_take(name, CCP_K_QUEUE, 0) == NULL);
  CHECK(ccp_object_take(wild, CCP_K_QUEUE, 0) == NULL);
  ccp_object_release(name); /* once too often: nothing happens */
  ccp_object_release(name_of(other));
}

static void a_message_in_transit_keeps_the_object(void) {
  ccp_queue *q = ccp_queue_new(0);
  ccp_object_name name = name_of(q);
  ccp_object_sent(name);
  ccp_object_release(name);
  CHECK(ccp_object_take(name, CCP_K_QUEUE, 1) == &q->object);
  ccp_object_release(name);
}

int main(void) {
  RUN(next_holder_is_told_of_a_death);
  RUN(mutex_excludes_threads);
  RUN(items_come_out_as_they_went_in);
  RUN(kills_leave_a_whole_queue);
  RUN(blocks_of_the_dead_come_back);
  RUN(a_stale_name_finds_nothing);
  RUN(an_inherited_handle_keeps_the_object);
  RUN(a_message_in_transit_keeps_the_object);
  RUN(threads_and_processes_lose_and_double_nothing);
  return check_tally();
}
