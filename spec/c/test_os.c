/*
** Tests of csrc/os: clock, futex, lock, descriptors, processors, threads,
** mappings and what forking changes.
*/
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "check.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/cpu.h"
#include "os/fd.h"
#include "os/futex.h"
#include "os/lock.h"
#include "os/mapping.h"
#include "os/process.h"
#include "os/thread.h"

enum { MS = 1000000 };

/* Runs f in a child; its exit status, or -signal. */
static int in_child(int (*f)(void)) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    (void)alarm(20);
    _exit(f());
  }
  (void)waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ------------------------------------------------------------ clock */

static void clock_goes_forward(void) {
  int64_t before = ccp_clock_now_ns();
  for (int i = 0; i < 100000; i++) {
    int64_t now = ccp_clock_now_ns();
    if (!CHECK(now >= before))
      return;
    before = now;
  }
}

static void deadlines_are_moments(void) {
  int64_t now = ccp_clock_now_ns(), at = ccp_clock_deadline_ns(2.5);
  CHECK(at >= now + 2500 * (int64_t)MS && at < now + 60 * CCP_NS_PER_S);
  CHECK(ccp_clock_deadline_ns((double)INFINITY) == CCP_NEVER);
  CHECK(ccp_clock_deadline_ns(1e300) == CCP_NEVER);
  CHECK(ccp_clock_deadline_ns(9.3e9) == CCP_NEVER);
  at = ccp_clock_deadline_ns(8.9e9);
  CHECK(at > now && at < CCP_NEVER);
  CHECK(ccp_clock_deadline_ns(0) <= ccp_clock_now_ns());
  CHECK(ccp_clock_deadline_ns(-1) <= ccp_clock_now_ns());
  CHECK(ccp_clock_deadline_ns(-(double)INFINITY) <= ccp_clock_now_ns());
  now = ccp_clock_now_ns();
  CHECK(ccp_clock_deadline_ns(1e-12) > now); /* not zero: rounded up */
}

/* ------------------------------------------------------------ futex */

static void futex_wait_ends_for_its_reasons(void) {
  _Atomic uint32_t word = 5;
  int64_t now = ccp_clock_now_ns();
  CHECK(ccp_futex_wait(&word, 4, CCP_NEVER) == CCP_OK);
  CHECK(ccp_futex_wait(&word, 5, now) == CCP_E_TIMEOUT);
  CHECK(ccp_futex_wait(&word, 5, now + 10 * MS) == CCP_E_TIMEOUT);
  CHECK(ccp_clock_now_ns() >= now + 10 * MS);
  errno = 77;
  ccp_futex_wake(&word, CCP_WAKE_ALL);
  CHECK(errno == 77);
}

static void on_alarm(int sig) {
  (void)sig;
}

static void signal_ends_a_wait(void) {
  struct itimerval soon = {{0, 0}, {0, 20000}};
  _Atomic uint32_t word = 0;
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_handler = on_alarm; /* no SA_RESTART */
  (void)sigaction(SIGALRM, &sa, NULL);
  (void)setitimer(ITIMER_REAL, &soon, NULL);
  CHECK(ccp_futex_wait(&word, 0, ccp_clock_now_ns() + 10 * CCP_NS_PER_S) ==
        CCP_E_INTR);
  (void)setitimer(ITIMER_REAL, &soon, NULL);
  CHECK(ccp_fd_wait(NULL, 0, ccp_clock_now_ns() + 10 * CCP_NS_PER_S) == 0);
}

/* Two ends that take turns; one of them may be another process. */
static void take_turns(_Atomic uint32_t *word, uint32_t parity, uint32_t end) {
  uint32_t n;
  while ((n = atomic_load(word)) < end)
    if (n % 2 == parity) {
      atomic_store(word, n + 1);
      ccp_futex_wake(word, 1);
    } else
      (void)ccp_futex_wait(word, n, CCP_NEVER);
}

static void futex_works_across_processes(void) {
  void *memory = ccp_mapping_shared(4096);
  _Atomic uint32_t *word = memory;
  pid_t pid = fork();
  if (pid == 0) {
    (void)alarm(20);
    take_turns(word, 1, 2000);
    _exit(0);
  }
  take_turns(word, 0, 2000);
  CHECK(waitpid(pid, NULL, 0) == pid && atomic_load(word) == 2000);
  ccp_mapping_free(memory, 4096);
}

/* ------------------------------------------------------------ lock */

typedef struct counter {
  ccp_lock lock;
  long n; /* guarded by lock */
  int rounds;
} counter;

static void count_up(void *arg) {
  counter *c = arg;
  for (int i = 0; i < c->rounds; i++) {
    ccp_lock_acquire(&c->lock);
    c->n++;
    if (i % 1000 == 0)
      (void)sched_yield(); /* others come to sleep */
    ccp_lock_release(&c->lock);
  }
}

static void one_holds_the_lock_at_a_time(void) {
  enum { N = 4 };
  counter c = {CCP_LOCK_INIT(CCP_RANK_POOL), 0, 50000};
  ccp_thread t[N];
  for (int i = 0; i < N; i++)
    CHECK(ccp_thread_start(&t[i], count_up, &c, 0) == CCP_OK);
  for (int i = 0; i < N; i++)
    CHECK(ccp_thread_join(&t[i], CCP_NEVER) == CCP_OK);
  CHECK(c.n == (long)N * c.rounds && atomic_load(&c.lock.word) == 0);
}

static void locks_nest_in_rising_order(void) {
  ccp_lock low, high = CCP_LOCK_INIT(CCP_RANK_PROCESS);
  ccp_lock_init(&low, CCP_RANK_CLIENTS);
  for (int i = 0; i < 3; i++) {
    ccp_lock_acquire(&low);
    ccp_lock_acquire(&high);
    ccp_lock_release(&high);
    ccp_lock_release(&low);
  }
  CHECK(atomic_load(&low.word) == 0 && atomic_load(&high.word) == 0);
}

#ifdef CCP_DEBUG
static int lock_downwards(void) {
  ccp_lock low = CCP_LOCK_INIT(CCP_RANK_CLIENTS);
  ccp_lock high = CCP_LOCK_INIT(CCP_RANK_PROCESS);
  (void)close(STDERR_FILENO);
  (void)signal(SIGABRT, SIG_DFL);
  ccp_lock_acquire(&high);
  ccp_lock_acquire(&low);
  return 0;
}

static void debug_build_asserts_the_order(void) {
  CHECK(in_child(lock_downwards) == -SIGABRT);
}
#endif

/* ------------------------------------------------------------ descriptors */

static void event_is_readable_until_quiet(void) {
  int fd = ccp_fd_event(), other = ccp_fd_event();
  int both[3] = {other, -1, fd};
  CHECK(fd >= 3 && other >= 3 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  CHECK(ccp_fd_wait(&fd, 1, ccp_clock_now_ns()) == 0);
  errno = 77;
  for (int i = 0; i < 1000; i++)
    ccp_fd_ring(fd);
  CHECK(ccp_fd_wait(&fd, 1, CCP_NEVER) == 1);
  CHECK(ccp_fd_wait(both, 3, CCP_NEVER) == 4);
  ccp_fd_ring(other);
  CHECK(ccp_fd_wait(both, 3, CCP_NEVER) == 5);
  ccp_fd_quiet(fd);
  ccp_fd_quiet(fd); /* never blocks */
  CHECK(ccp_fd_wait(both, 3, CCP_NEVER) == 1 && errno == 77);
  ccp_fd_close(fd);
  ccp_fd_close(other);
  ccp_fd_close(-1);
  CHECK(errno == 77);
}

static void waiting_ends_with_the_time(void) {
  int fd = ccp_fd_event();
  int64_t now = ccp_clock_now_ns();
  CHECK(ccp_fd_wait(&fd, 1, now + 10 * MS) == 0);
  CHECK(ccp_clock_now_ns() >= now + 10 * MS);
  CHECK(ccp_fd_wait(&fd, 1, 0) == 0);
  ccp_fd_close(fd);
}

static void pair_keeps_messages_whole(void) {
  int ends[2];
  char in[8];
  if (!CHECK(ccp_fd_pair(ends) == CCP_OK))
    return;
  CHECK(ccp_fd_recv(ends[1], in, 4) == CCP_E_FULL);
  CHECK(ccp_fd_send(ends[0], "abcd", 4) == CCP_OK);
  CHECK(ccp_fd_send(ends[0], "efgh", 4) == CCP_OK);
  CHECK(ccp_fd_wait(&ends[1], 1, CCP_NEVER) == 1);
  CHECK(ccp_fd_recv(ends[1], in, 4) == CCP_OK && memcmp(in, "abcd", 4) == 0);
  CHECK(ccp_fd_recv(ends[1], in, 4) == CCP_OK && memcmp(in, "efgh", 4) == 0);
  CHECK(ccp_fd_recv(ends[1], in, 4) == CCP_E_FULL);
  CHECK(ccp_fd_send(ends[1], "back", 4) == CCP_OK);
  ccp_fd_close(ends[1]);
  CHECK(ccp_fd_recv(ends[0], in, 4) == CCP_OK && memcmp(in, "back", 4) == 0);
  CHECK(ccp_fd_recv(ends[0], in, 4) == CCP_E_CLOSED);
  CHECK(ccp_fd_send(ends[0], "abcd", 4) == CCP_E_CLOSED); /* and no SIGPIPE */
  CHECK(ccp_fd_wait(&ends[0], 1, CCP_NEVER) == 1);
  ccp_fd_close(ends[0]);
}

static int without_stdio(void) {
  int ends[2], fd;
  for (int i = 0; i < 3; i++)
    (void)close(i);
  fd = ccp_fd_event();
  if (fd < 3 || ccp_fd_pair(ends) != CCP_OK || ends[0] < 3 || ends[1] < 3)
    return 1;
  return fcntl(0, F_GETFD) != -1 || fcntl(ends[1], F_GETFD) != FD_CLOEXEC;
}

static void numbers_of_stdio_are_left_alone(void) {
  CHECK(in_child(without_stdio) == 0);
}

/* ------------------------------------------------------------ processors */

static int on_one_processor(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)sched_getcpu(), &set);
  return sched_setaffinity(0, sizeof set, &set) == 0
             ? ccp_cpu_count() * 10 + ccp_cpu_affinity()
             : 11;
}

static void processors_are_those_we_may_use(void) {
  CHECK(ccp_cpu_count() >= 1 && ccp_cpu_count() <= ccp_cpu_affinity());
  CHECK(ccp_cpu_affinity() <= sysconf(_SC_NPROCESSORS_CONF));
  CHECK(in_child(on_one_processor) == 11);
}

/* ------------------------------------------------------------ threads */

typedef struct guest {
  _Atomic uint32_t go;
  int blocked; /* signals that were */
  char name[16];
} guest;

static void visit(void *arg) {
  guest *g = arg;
  sigset_t set;
  ccp_thread_name("a name of more than fifteen bytes");
  (void)prctl(PR_GET_NAME, g->name, 0, 0, 0);
  (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
  g->blocked = sigismember(&set, SIGINT) + sigismember(&set, SIGUSR1);
  while (atomic_load(&g->go) == 0)
    (void)ccp_futex_wait(&g->go, 0, CCP_NEVER);
}

static void join_has_a_bound(void) {
  guest g = {0};
  ccp_thread t = {0};
  sigset_t set;
  CHECK(ccp_thread_join(&t, CCP_NEVER) == CCP_OK); /* never started */
  CHECK(ccp_thread_start(&t, visit, &g, 256 << 10) == CCP_OK && t.started);
  CHECK(ccp_thread_join(&t, ccp_clock_now_ns()) == CCP_E_TIMEOUT);
  CHECK(ccp_thread_join(&t, ccp_clock_now_ns() + 10 * MS) == CCP_E_TIMEOUT);
  atomic_store(&g.go, 1);
  ccp_futex_wake(&g.go, 1);
  CHECK(ccp_thread_join(&t, CCP_NEVER) == CCP_OK && !t.started);
  CHECK(ccp_thread_join(&t, CCP_NEVER) == CCP_OK);
  CHECK(g.blocked == 2 && strcmp(g.name, "a name of more ") == 0);
  (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
  CHECK(sigismember(&set, SIGINT) == 0); /* only there, not here */
}

static void count_one(void *arg) {
  atomic_fetch_add((_Atomic uint32_t *)arg, 1);
}

static void struct_is_free_after_join(void) {
  _Atomic uint32_t n = 0;
  for (int i = 0; i < 300; i++) {
    ccp_thread *t = calloc(1, sizeof *t);
    if (!CHECK(t && ccp_thread_start(t, count_one, &n, 0) == CCP_OK))
      return;
    CHECK(ccp_thread_join(t, CCP_NEVER) == CCP_OK);
    free(t);
  }
  CHECK(atomic_load(&n) == 300);
}

/* ------------------------------------------------------------ the rest */

static void punched_pages_read_as_zero(void) {
  size_t page = ccp_mapping_page(), len = 8 * page;
  unsigned char *p = ccp_mapping_shared(len);
  CHECK(page >= 4096 && p != NULL);
  memset(p, 1, len);
  ccp_mapping_punch(p + 1, 4 * page); /* pages 1 to 3 whole */
  CHECK(p[0] == 1 && p[page - 1] == 1 && p[page] == 0 && p[2 * page] == 0);
  CHECK(p[4 * page - 1] == 0 && p[4 * page] == 1 && p[len - 1] == 1);
  ccp_mapping_punch(p + 5 * page + 1, page); /* none whole */
  CHECK(p[5 * page + 5] == 1 && p[6 * page] == 1);
  ccp_mapping_free(p, len);
  ccp_mapping_free(NULL, len);
  CHECK(ccp_mapping_shared(SIZE_MAX / 2) == NULL);
}

static void hidden_mapping_stays_behind(void) {
  size_t page = ccp_mapping_page();
  unsigned char *p = ccp_mapping_shared(page);
  unsigned char in[1];
  int status = 0;
  pid_t pid;
  p[0] = 1;
  ccp_mapping_hide(p, page);
  pid = fork();
  if (pid == 0)
    _exit(mincore(p, page, in) == -1 && errno == ENOMEM ? 0 : 1);
  (void)waitpid(pid, &status, 0);
  CHECK(status == 0 && p[0] == 1);
  ccp_mapping_free(p, page);
}

static uint32_t epoch;

static int epoch_in_child(void) {
  return (int)(ccp_process_epoch() - epoch);
}

static void children_are_of_another_epoch(void) {
  CHECK(ccp_process_watch_forks() == CCP_OK);
  CHECK(ccp_process_watch_forks() == CCP_OK);
  epoch = ccp_process_epoch();
  int one = in_child(epoch_in_child), other = in_child(epoch_in_child);
  CHECK(one != 0 && other != 0 && one != other);
  CHECK(ccp_process_epoch() == epoch);
  CHECK(strcmp(ccp_process_signame(SIGSEGV), "SIGSEGV") == 0);
  CHECK(ccp_process_signame(12345) == NULL);
  CHECK(ccp_process_rss(getpid()) > 0 && ccp_process_rss(-1) == 0);
}

int main(void) {
  RUN(clock_goes_forward);
  RUN(deadlines_are_moments);
  RUN(futex_wait_ends_for_its_reasons);
  RUN(signal_ends_a_wait);
  RUN(futex_works_across_processes);
  RUN(one_holds_the_lock_at_a_time);
  RUN(locks_nest_in_rising_order);
#ifdef CCP_DEBUG
  RUN(debug_build_asserts_the_order);
#endif
  RUN(event_is_readable_until_quiet);
  RUN(waiting_ends_with_the_time);
  RUN(pair_keeps_messages_whole);
  RUN(numbers_of_stdio_are_left_alone);
  RUN(processors_are_those_we_may_use);
  RUN(join_has_a_bound);
  RUN(struct_is_free_after_join);
  RUN(punched_pages_read_as_zero);
  RUN(hidden_mapping_stays_behind);
  RUN(children_are_of_another_epoch);
  return check_tally();
}
