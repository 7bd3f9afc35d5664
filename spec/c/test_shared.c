/*
** Tests of shared/array.h, dict.h, latch.h, semaphore.h without Lua: atomic
** elements, dicts that are hammered by several threads, owners that die.
*/
#include "shared/array.h"

#include <string.h>
#include <sys/wait.h>

#include "check.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/thread.h"
#include "shared/dict.h"
#include "shared/semaphore.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SLOW = 8 };
#else
enum { SLOW = 1 };
#endif

enum { THREADS = 3, ROUNDS = 20000 / SLOW };

static void release(const ccp_object *o) {
  ccp_object_release((ccp_object_name){atomic_load(&o->id), o->index});
}

static void in_threads(void (*run)(void *), void *arg) {
  ccp_thread t[THREADS] = {0};
  for (int i = 0; i < THREADS; i++)
    CHECK(ccp_thread_start(&t[i], run, arg, 0) == CCP_OK);
  for (int i = 0; i < THREADS; i++)
    (void)ccp_thread_join(&t[i], CCP_NEVER);
}

/* ------------------------------------------------------------ arrays */

static void add_ones(void *arg) {
  ccp_array *a = arg;
  for (int i = 0; i < ROUNDS; i++)
    for (uint64_t k = 0; k < a->n; k++) {
      ccp_number one = {0, {1}};
      (void)ccp_array_fit(a->type, &one);
      CHECK(ccp_array_add(a, k, &one));
    }
}

static void sums_are_exact(void) {
  for (uint32_t type = CCP_U16; type < CCP_TYPES; type++) {
    ccp_array *a = ccp_array_new(type, 2);
    ccp_number x;
    if (!CHECK(a != NULL))
      return;
    if (ccp_array_width(type) == 2) {
      x = (ccp_number){0, {-1}};
      CHECK(type != CCP_U16 || !ccp_array_add(a, 0, &x));
    } else {
      in_threads(add_ones, a);
      x = ccp_array_get(a, 1);
      CHECK(x.is_float ? (long)x.as.f == (long)THREADS * ROUNDS
                       : x.as.i == (long)THREADS * ROUNDS);
    }
    release(&a->object);
  }
}

static void fill_reaches_all_and_no_more(void) {
  static const uint64_t lens[] = {1, 2, 3, 1000, 65535, 65536, 65537, 300001};
  for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
    ccp_array *a = ccp_array_new(CCP_I32, lens[i] + 2);
    uint64_t wrong = 0;
    ccp_array_fill(a, 1, lens[i], (ccp_number){0, {-5}});
    for (uint64_t k = 1; k <= lens[i]; k++)
      wrong += ccp_array_get(a, k).as.i != -5;
    CHECK(wrong == 0);
    CHECK(ccp_array_get(a, 0).as.i == 0);
    CHECK(ccp_array_get(a, lens[i] + 1).as.i == 0);
    release(&a->object);
  }
}

/* Blocks are used again: what was in them must not be seen. */
static void new_arrays_are_zero(void) {
  static const uint64_t lens[] = {10, 5000, 1 << 20, 3 << 20, 100 << 20};
  for (int round = 0; round < 3; round++)
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
      ccp_array *a = ccp_array_new(CCP_U8, lens[i]);
      uint64_t step = lens[i] / 1000 + 1, sum = 0;
      if (!CHECK(a != NULL))
        return;
      for (uint64_t k = 0; k < lens[i]; k += step)
        sum += (uint64_t)ccp_array_get(a, k).as.i;
      sum += (uint64_t)ccp_array_get(a, lens[i] - 1).as.i;
      CHECK(sum == 0);
      for (uint64_t k = 0; k < lens[i]; k += step)
        ccp_array_set(a, k, (ccp_number){0, {9}});
      ccp_array_set(a, lens[i] - 1, (ccp_number){0, {9}});
      release(&a->object);
    }
}

/* ------------------------------------------------------------ dicts */

static int set_number(ccp_dict *d, uint64_t key, uint64_t x) {
  ccp_dict_bytes k = {&key, sizeof key, 0}, v = {&x, sizeof x, 0};
  int had;
  return ccp_dict_set(d, k, &v, &had);
}

static int delete_number(ccp_dict *d, uint64_t key) {
  ccp_dict_bytes k = {&key, sizeof key, 0};
  int had;
  (void)ccp_dict_set(d, k, NULL, &had);
  return had;
}

static long long get_number(ccp_dict *d, uint64_t key) {
  ccp_dict_bytes k = {&key, sizeof key, 0};
  uint64_t x = 0;
  uint32_t names;
  return ccp_dict_get(d, k, &x, sizeof x, &names) < 0 ? -1 : (long long)x;
}

static void churn(void *arg) {
  static _Atomic uint64_t next;
  ccp_dict *d = arg;
  uint64_t mine = atomic_fetch_add(&next, 1) * 1000000;
  for (uint64_t i = 0; i < ROUNDS / 10; i++) {
    CHECK(set_number(d, mine + i, i) == CCP_OK);
    CHECK(get_number(d, mine + i) == (long long)i);
    if (i >= 50)
      CHECK(delete_number(d, mine + i - 50));
  }
}

static void dicts_bear_several_threads(void) {
  ccp_dict *d = ccp_dict_new();
  uint64_t at = 0, n = 0, key;
  if (!CHECK(d != NULL))
    return;
  in_threads(churn, d);
  CHECK(ccp_dict_size(d) == THREADS * 50);
  while (ccp_dict_next(d, &at, &key, sizeof key) >= 0)
    n++;
  CHECK(n == THREADS * 50);
  release(&d->object);
}

/* ------------------------------------------------------------ owners */

static void run_and_die(void (*run)(void *), void *arg) {
  pid_t pid = fork();
  if (pid == 0) {
    run(arg);
    _exit(0);
  }
  (void)waitpid(pid, NULL, 0);
}

static int acquire(ccp_lockobj *l, int64_t deadline_ns) {
  ccp_who who = {ccp_member_me(), 1};
  return ccp_latch_acquire(&l->object, &l->latch, who, (int)l->recursive,
                           deadline_ns);
}

static void acquire_twice(void *arg) {
  (void)acquire(arg, 0);
  (void)acquire(arg, 0);
}

static void a_dead_owner_loses_its_lock(void) {
  for (int recursive = 0; recursive < 2; recursive++) {
    ccp_lockobj *l = ccp_lockobj_new(recursive);
    ccp_who who = {ccp_member_me(), 1};
    if (!CHECK(l != NULL))
      return;
    run_and_die(acquire_twice, l);
    CHECK(acquire(l, 0) == CCP_E_TIMEOUT);
    ccp_object_reap_now();
    CHECK(acquire(l, 0) == CCP_OWNER_DIED);
    CHECK(acquire(l, 0) == (recursive ? CCP_OK : CCP_E_TIMEOUT));
    CHECK(ccp_latch_release(&l->object, &l->latch, who, 1) == recursive);
    release(&l->object);
  }
}

static void take_both(void *arg) {
  (void)ccp_semaphore_acquire(arg, ccp_member_me(), 0);
  (void)ccp_semaphore_acquire(arg, ccp_member_me(), 0);
}

static void permits_of_the_dead_come_back(void) {
  ccp_semaphore *s = ccp_semaphore_new(2, 1);
  if (!CHECK(s != NULL))
    return;
  run_and_die(take_both, s);
  CHECK(ccp_semaphore_free(s) == 0);
  ccp_object_reap_now();
  CHECK(ccp_semaphore_free(s) == 2);
  CHECK(ccp_semaphore_release(s, ccp_member_me(), 1) == CCP_E_FULL);
  release(&s->object);
}

static void many_members_come_and_go(void) {
  enum { N = 1200 / SLOW };
  uint32_t before, objects, members;
  ccp_semaphore *s;
  ccp_object_stats(&before, &members);
  s = ccp_semaphore_new(2, 1);
  if (!CHECK(s != NULL))
    return;
  for (int i = 0; i < N; i++)
    run_and_die(take_both, s);
  ccp_object_reap_now();
  ccp_object_stats(&objects, &members);
  CHECK(members == 1);
  CHECK(objects == before + 1);
  CHECK(ccp_semaphore_free(s) == 2);
  release(&s->object);
}

int main(void) {
  RUN(new_arrays_are_zero);
  RUN(fill_reaches_all_and_no_more);
  RUN(a_dead_owner_loses_its_lock);
  RUN(permits_of_the_dead_come_back);
  RUN(many_members_come_and_go);
  RUN(sums_are_exact);
  RUN(dicts_bear_several_threads);
  return check_tally();
}
