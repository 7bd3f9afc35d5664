/*
** Tests of shared/arena.h: no block is handed out twice, whoever dies; its
** size; what it makes of wild pointers; which pages it keeps.
*/
#include "shared/arena.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/mapping.h"
#include "os/thread.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SLOW = 4 };
#else
enum { SLOW = 1 };
#endif

#define MB ((size_t)1 << 20)

/* ------------------------------------------------------------ its size */

/* The arena is opened once in a process: each size is tried in a child. */
static size_t reserved_with(const char *wish, size_t address_space) {
  size_t *answer = ccp_mapping_shared(sizeof *answer), n;
  pid_t pid = fork();
  if (pid == 0) {
    size_t used, warm;
    if (wish)
      (void)setenv("CCPOOL_ARENA", wish, 1);
    if (address_space) {
      struct rlimit limit = {address_space, address_space};
      if (setrlimit(RLIMIT_AS, &limit) != 0)
        _exit(1);
    }
    if (ccp_arena_open() == CCP_OK && ccp_arena_alloc(1000, NULL))
      ccp_arena_stats(answer, &used, &warm);
    _exit(0);
  }
  (void)waitpid(pid, NULL, 0);
  n = *answer;
  ccp_mapping_free(answer, sizeof *answer);
  return n;
}

static void size_is_what_is_asked_for(void) {
  CHECK(reserved_with("64M", 0) == 64 * MB);
  CHECK(reserved_with("2048K", 0) == 2 * MB);
  CHECK(reserved_with("1G", 0) == 1024 * MB);
  CHECK(reserved_with("16777216", 0) == 16 * MB);
  CHECK(reserved_with("1", 0) == MB); /* the least */
  CHECK(reserved_with("", 0) >= 1024 * MB);
  CHECK(reserved_with("nonsense", 0) >= 1024 * MB);
}

static size_t address_space_used(void) {
  unsigned long long pages = 0;
  FILE *f = fopen("/proc/self/statm", "re");
  if (f && fscanf(f, "%llu", &pages) != 1)
    pages = 0;
  if (f)
    (void)fclose(f);
  return (size_t)pages * ccp_mapping_page();
}

static void small_address_space_gives_a_small_arena(void) {
  size_t used = address_space_used(), got;
  if (!CHECK(used > 0))
    return;
  got = reserved_with(NULL, used + 300 * MB);
  CHECK(got >= 64 * MB && got < 300 * MB);
  got = reserved_with(NULL, used + 30 * MB);
  CHECK(got >= 4 * MB && got < 30 * MB);
  CHECK(reserved_with(NULL, used) == 0); /* none at all, and no crash */
}

static void full_arena_gives_null(void) {
  int *answer = ccp_mapping_shared(sizeof *answer);
  pid_t pid = fork();
  if (pid == 0) {
    void *first, *p = NULL;
    int n = 0;
    (void)setenv("CCPOOL_ARENA", "1M", 1);
    (void)ccp_arena_open();
    first = ccp_arena_alloc(30000, NULL);
    while (n < 100 && (p = ccp_arena_alloc(30000, NULL)) != NULL)
      n++;
    *answer = n > 20 && n < 33 && p == NULL;
    ccp_arena_free(first);
    *answer += ccp_arena_alloc(30000, NULL) == first;
    *answer += ccp_arena_alloc(SIZE_MAX, NULL) == NULL;
    *answer += ccp_arena_alloc(SIZE_MAX / 2, NULL) == NULL;
    _exit(0);
  }
  (void)waitpid(pid, NULL, 0);
  CHECK(*answer == 4);
  ccp_mapping_free(answer, sizeof *answer);
}

/* ------------------------------------------------------------ one by one */

static void block_has_the_room_it_says(void) {
  void *block[300];
  int n = 0;
  for (size_t len = 0; len < 3 * MB; len = len * 5 / 4 + 1, n++) {
    size_t room = 0;
    block[n] = ccp_arena_alloc(len, &room);
    if (!CHECK(block[n] && room >= len && (uintptr_t)block[n] % 64 == 0))
      return;
    memset(block[n], n, room);
    CHECK(ccp_arena_valid(block[n], len) && ccp_arena_valid(block[n], room));
    CHECK(!ccp_arena_valid(block[n], room + 1));
  }
  for (int i = 0; i < n; i++) {
    CHECK(*(unsigned char *)block[i] == i &&
          ccp_arena_own(block[i]) == block[i]);
    ccp_arena_free(block[i]);
    CHECK(!ccp_arena_valid(block[i], 0));
  }
  ccp_arena_free(NULL);
}

static void wild_pointers_are_not_valid(void) {
  size_t reserved, used, warm;
  unsigned char *block = ccp_arena_alloc(100000, NULL), *p;
  void *other = malloc(100);
  uintptr_t from = (uintptr_t)block & ~(uintptr_t)4095;
  uint32_t seed = 7, wrong = 0;
  memset(block, 0xff, 100000);
  ccp_arena_stats(&reserved, &used, &warm);
  CHECK(ccp_arena_valid(block, 100000) && !ccp_arena_valid(block, SIZE_MAX));
  CHECK(!ccp_arena_valid(NULL, 0) && !ccp_arena_valid(&seed, 0));
  CHECK(!ccp_arena_valid(other, 0) && !ccp_arena_valid((void *)-64, 0));
  CHECK(!ccp_arena_valid((void *)(uintptr_t)64, 0));
  CHECK(!ccp_arena_valid((unsigned char *)ccp_arena_own(block) + reserved, 0));
  for (int i = 1; i < 1000; i++)
    wrong += (uint32_t)ccp_arena_valid(block + i, 0);
  for (int i = 0; i < 200000; i++) {
    seed = seed * 1664525 + 1013904223;
    p = (unsigned char *)(from + seed % (uint32_t)(2 * reserved > UINT32_MAX
                                                       ? UINT32_MAX
                                                       : 2 * reserved));
    wrong += p != block && ccp_arena_valid(p, 0);
  }
  CHECK(wrong == 0);
  free(other);
  ccp_arena_free(block);
}

/* ------------------------------------------------------------ its pages */

/* The block freed last comes first, with its pages. */
static void warm_block_is_reused(void) {
  unsigned char *p = ccp_arena_alloc(5 * MB, NULL), *q;
  size_t reserved, used, warm, used_after;
  p[3 * MB] = 0x5a;
  ccp_arena_stats(&reserved, &used, &warm);
  for (int i = 0; i < 100; i++) {
    ccp_arena_free(p);
    q = ccp_arena_alloc(5 * MB, NULL);
    if (!CHECK(q == p && q[3 * MB] == 0x5a))
      break;
  }
  ccp_arena_stats(&reserved, &used_after, &warm);
  CHECK(used_after == used);
  ccp_arena_free(p);
}

static size_t pages_in(unsigned char *p, size_t len) {
  static unsigned char in[64 * 256]; /* of 4 KiB */
  size_t page = ccp_mapping_page(), n = 0;
  p = (unsigned char *)(((uintptr_t)p + page - 1) & ~(uintptr_t)(page - 1));
  len = len / page > sizeof in ? sizeof in * page : len / page * page;
  if (mincore(p, len, in) != 0)
    return 0;
  for (size_t i = 0; i < len / page; i++)
    n += in[i] & 1u;
  return n;
}

/* Of what a peak of 640 MiB touched, 256 MiB may stay. */
static void peak_is_given_back(void) {
  enum { N = 10, EACH = 15 };
  const size_t len = 64 * MB - 64;
  unsigned char *block[N];
  size_t kept = 0;
  for (int i = 0; i < N; i++) {
    block[i] = ccp_arena_alloc(len, NULL);
    if (!CHECK(block[i] != NULL))
      return;
    for (size_t k = 1; k <= EACH; k++)
      block[i][k * 4 * MB] = 1;
  }
  for (int i = 0; i < N; i++)
    ccp_arena_free(block[i]);
  for (int i = 0; i < N; i++)
    kept += pages_in(block[i], len - MB) >= EACH;
  CHECK(kept <= 4 && kept >= 3); /* what lay idle before counts too */
}

/* The peak is over: what is used from now on by turns stays warm. */
static void what_follows_a_peak_is_warm(void) {
  const size_t len = 64 * MB - 64;
  unsigned char *p = ccp_arena_alloc(len, NULL);
  int kept = 0;
  for (int i = 0; i < 5 && p; i++) {
    p[20 * MB] = 0x5a;
    ccp_arena_free(p);
    p = ccp_arena_alloc(len, NULL);
    kept += p && p[20 * MB] == 0x5a;
  }
  CHECK(kept >= 4);
  ccp_arena_free(p);
}

/* Headers do not double what large powers of two take. */
static void room_is_little_more_than_asked_for(void) {
  for (size_t len = MB; len <= 64 * MB; len *= 2) {
    size_t room = 0;
    void *block = ccp_arena_alloc(len, &room);
    CHECK(block && room >= len && room <= len + len / 4);
    ccp_arena_free(block);
  }
}

/* ------------------------------------------------------------ many users */

enum { HELD = 24 };

typedef struct user {
  ccp_thread thread;
  uint32_t id, rounds;
  _Atomic uint32_t *wrong, *turns; /* in memory that all share */
} user;

/* Owner and number at the beginning, the end and some places between. */
static int mark(unsigned char *p, size_t len, uint64_t value, int check) {
  for (size_t at = 0; at + 8 <= len; at += at < 512 ? 8 : 4096) {
    if (check && memcmp(p + at, &value, 8) != 0)
      return 0;
    if (!check)
      memcpy(p + at, &value, 8);
  }
  return 1;
}

static void use_arena(void *arg) {
  user *u = arg;
  struct {
    unsigned char *p;
    size_t len;
    uint64_t value;
  } held[HELD] = {{0}};
  uint32_t seed = u->id * 7919 + 1;
  for (uint32_t i = 0; i < u->rounds; i++) {
    uint32_t k;
    seed = seed * 1664525 + 1013904223;
    k = (seed >> 8) % HELD;
    if (held[k].p) {
      if (!mark(held[k].p, held[k].len, held[k].value, 1) ||
          !ccp_arena_valid(held[k].p, held[k].len))
        atomic_fetch_add(u->wrong, 1);
      ccp_arena_free(held[k].p);
      held[k].p = NULL;
    } else {
      held[k].len = (size_t)16 << (seed >> 16) % (k == 0 ? 17 : 9);
      held[k].value = (uint64_t)u->id << 32 | i;
      held[k].p = ccp_arena_alloc(held[k].len, NULL);
      if (held[k].p)
        (void)mark(held[k].p, held[k].len, held[k].value, 0);
      else
        atomic_fetch_add(u->wrong, 1);
    }
    atomic_fetch_add_explicit(u->turns, 1, memory_order_relaxed);
  }
  for (int k = 0; k < HELD; k++) {
    if (held[k].p && !mark(held[k].p, held[k].len, held[k].value, 1))
      atomic_fetch_add(u->wrong, 1);
    ccp_arena_free(held[k].p);
  }
}

static void threads_never_share_a_block(void) {
  enum { N = 4 };
  _Atomic uint32_t wrong = 0, turns = 0;
  user u[N];
  memset(u, 0, sizeof u);
  for (uint32_t i = 0; i < N; i++) {
    u[i].id = i + 1;
    u[i].rounds = 100000 / SLOW;
    u[i].wrong = &wrong;
    u[i].turns = &turns;
    CHECK(ccp_thread_start(&u[i].thread, use_arena, &u[i], 0) == CCP_OK);
  }
  for (uint32_t i = 0; i < N; i++)
    CHECK(ccp_thread_join(&u[i].thread, CCP_NEVER) == CCP_OK);
  CHECK(wrong == 0 && turns == N * (100000 / SLOW));
}

static pid_t start_user(uint32_t id, _Atomic uint32_t *words) {
  pid_t pid = fork();
  if (pid == 0) {
    user u = {
        .id = id, .rounds = UINT32_MAX, .wrong = words, .turns = words + 1};
    (void)alarm(100);
    use_arena(&u);
    _exit(0);
  }
  return pid;
}

/* All blocks of a class that lie free, and as many fresh ones: each once. */
static void blocks_are_distinct(size_t len) {
  enum { N = 2000 };
  static uint32_t *block[N];
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < N; i++) {
    block[i] = ccp_arena_alloc(len, NULL);
    if (!CHECK(block[i] != NULL))
      return;
    block[i][0] = i;
  }
  for (uint32_t i = 0; i < N; i++)
    wrong += block[i][0] != i;
  for (uint32_t i = 0; i < N; i++)
    ccp_arena_free(block[i]);
  CHECK(wrong == 0);
}

static void killed_processes_corrupt_nothing(void) {
  enum { N = 3, KILLS = 240 / SLOW };
  void *memory = ccp_mapping_shared(4096);
  _Atomic uint32_t *words = memory;
  user mine = {.id = 99, .rounds = 50, .wrong = words, .turns = words + 1};
  pid_t pid[N];
  for (uint32_t i = 0; i < N; i++)
    pid[i] = start_user(i + 1, words);
  for (uint32_t k = 0; k < KILLS; k++) {
    uint32_t i = k % N;
    use_arena(&mine);
    mine.id++;
    for (uint32_t n = k * 2654435761u % 2000; n > 0; n--)
      ccp_clock_pause();
    (void)kill(pid[i], SIGKILL);
    (void)waitpid(pid[i], NULL, 0);
    pid[i] = start_user(1000 + k, words);
  }
  for (int i = 0; i < N; i++) {
    (void)kill(pid[i], SIGKILL);
    (void)waitpid(pid[i], NULL, 0);
  }
  CHECK(atomic_load(words) == 0 && atomic_load(words + 1) > KILLS * 50);
  for (size_t len = 16; len < 8192; len *= 2)
    blocks_are_distinct(len);
  ccp_mapping_free(memory, 4096);
}

int main(void) {
  RUN(size_is_what_is_asked_for);
  RUN(small_address_space_gives_a_small_arena);
  RUN(full_arena_gives_null);
  if (ccp_arena_open() != CCP_OK)
    return EXIT_FAILURE;
  RUN(block_has_the_room_it_says);
  RUN(wild_pointers_are_not_valid);
  RUN(warm_block_is_reused);
  RUN(threads_never_share_a_block);
  RUN(killed_processes_corrupt_nothing);
  RUN(peak_is_given_back);
  RUN(what_follows_a_peak_is_warm);
  RUN(room_is_little_more_than_asked_for);
  return check_tally();
}
