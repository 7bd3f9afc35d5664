/*
** Processes. The list of owned descriptors is guarded by 'owned_lock'; the
** epoch is written only in children, while they have one thread.
*/
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/fd.h"
#include "os/lock.h"
#include "os/mapping.h"

enum { STACK_BYTES = 8 << 20, LINE_BYTES = 64 << 10 };

_Atomic uint32_t ccp_process_epoch_;
/* The last epoch of any process of the family. Shared; written by each child
** as it begins: relaxed, the numbers only have to differ. */
static _Atomic uint32_t *last_epoch;
static ccp_lock owned_lock = CCP_LOCK_INIT(CCP_RANK_PROCESS);
static int *owned; /* grows, never shrinks; freed with the program */
static size_t owned_n, owned_cap;

static void before_fork(void) {
  ccp_lock_acquire(&owned_lock);
}

static void after_fork_parent(void) {
  ccp_lock_release(&owned_lock);
}

static void after_fork_child(void) {
  uint32_t last =
      atomic_fetch_add_explicit(last_epoch, 1, memory_order_relaxed);
  atomic_store_explicit(&ccp_process_epoch_, last + 1, memory_order_relaxed);
  ccp_lock_release(&owned_lock);
}

static int watch_result;

static void watch(void) {
  last_epoch = ccp_mapping_shared(sizeof *last_epoch);
  watch_result = last_epoch && pthread_atfork(before_fork, after_fork_parent,
                                              after_fork_child) == 0
                     ? CCP_OK
                     : CCP_E_NOMEM;
}

int ccp_process_watch_forks(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, watch);
  return watch_result;
}

int ccp_process_own_fd(int fd) {
  int rc = CCP_OK;
  ccp_lock_acquire(&owned_lock);
  if (owned_n == owned_cap) {
    size_t cap = owned_cap ? 2 * owned_cap : 16;
    int *grown = realloc(owned, cap * sizeof *grown);
    if (grown) {
      owned = grown;
      owned_cap = cap;
    } else
      rc = CCP_E_NOMEM;
  }
  if (rc == CCP_OK)
    owned[owned_n++] = fd;
  ccp_lock_release(&owned_lock);
  return rc;
}

void ccp_process_close_fd(int fd) {
  if (fd < 0)
    return;
  ccp_lock_acquire(&owned_lock);
  for (size_t i = 0; i < owned_n; i++)
    if (owned[i] == fd) {
      owned[i] = owned[--owned_n];
      break;
    }
  /* closed under the lock: a fork must not see the number forgotten but open,
  ** nor listed but already somebody else's */
  ccp_fd_close(fd);
  ccp_lock_release(&owned_lock);
}

static int kept(int fd, const int *keep, int n) {
  for (int i = 0; i < n; i++)
    if (keep[i] == fd)
      return 1;
  return 0;
}

/* The child has one thread, so the list needs no lock here. */
static void close_foreign(const int *keep, int n) {
  for (size_t i = 0; i < owned_n; i++)
    if (!kept(owned[i], keep, n))
      ccp_fd_close(owned[i]);
  if (owned_n > 0) /* or a page would be copied for nothing */
    owned_n = 0;
}

pid_t ccp_process_fork(const int *keep, int n) {
  sigset_t all, old;
  pid_t pid;
  (void)fflush(NULL); /* or both processes would write what is buffered */
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &old);
  pid = ccp_process_fork_silent(keep, n);
  if (pid != 0)
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
  return pid;
}

pid_t ccp_process_fork_silent(const int *keep, int n) {
  pid_t pid = fork();
  if (pid == 0)
    close_foreign(keep, n);
  return pid;
}

static void default_signals(void) {
  struct sigaction sa;
  sa.sa_handler = SIG_DFL;
  sa.sa_flags = 0;
  (void)sigemptyset(&sa.sa_mask);
  for (int sig = 1; sig < NSIG; sig++)
    if (sig != SIGKILL && sig != SIGSTOP)
      (void)sigaction(sig, &sa, NULL);
  (void)signal(SIGINT, SIG_IGN);
}

static void unblock_signals(void) {
  sigset_t none;
  (void)sigemptyset(&none);
  (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* The zygote has set all others to their defaults already. */
int ccp_process_be_worker(pid_t parent) {
  (void)setpgid(0, 0);
  (void)signal(SIGCHLD, SIG_DFL);
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  unblock_signals();
  return getppid() == parent; /* it may have died before the prctl */
}

/* What is left in the buffers was written by other threads since the flush
** before the fork: it is theirs to write out. */
static void drop_output(void) {
  __fpurge(stdout);
  __fpurge(stderr);
}

int ccp_process_be_child(pid_t parent) {
  (void)setpgid(0, 0);
  drop_output();
  default_signals();
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  unblock_signals();
  return getppid() == parent;
}

void ccp_process_be_zygote(void) {
  sigset_t all;
  drop_output();
  default_signals();
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, NULL);
}

int ccp_process_pidfd(pid_t pid) {
#ifdef SYS_pidfd_open
  return ccp_fd_above_stdio((int)syscall(SYS_pidfd_open, pid, 0));
#else
  (void)pid;
  errno = ENOSYS;
  return -1;
#endif
}

/* No stdio: it is called in children that have just been forked. */
static size_t read_stat(pid_t pid, char *text, size_t room) {
  char path[40];
  ssize_t n = -1;
  int fd;
  (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
  fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  while ((n = read(fd, text, room - 1)) < 0 && errno == EINTR)
    ;
  ccp_fd_close(fd);
  text[n > 0 ? n : 0] = '\0';
  return n > 0 ? (size_t)n : 0;
}

/* After the name, which may contain anything but ends with the last ')', come
** the state and, 19 fields later, the start. */
uint64_t ccp_process_started(pid_t pid) {
  char text[512];
  const char *p;
  if (read_stat(pid, text, sizeof text) == 0)
    return kill(pid, 0) != 0 && errno == ESRCH ? 0 : 1;
  p = strrchr(text, ')');
  if (!p || !p[1])
    return 1;
  p += 2;
  if (*p == 'Z' || *p == 'X' || *p == 'x')
    return 0;
  for (int i = 0; i < 19 && p; i++) {
    p = strchr(p, ' ');
    p = p ? p + 1 : NULL;
  }
  return p ? strtoull(p, NULL, 10) + 2 : 1;
}

/* Number 'which' of the sizes that the system tells, in bytes. */
static int64_t size_of(pid_t pid, int which) {
  char path[40];
  long long pages[2] = {0, 0};
  FILE *f;
  (void)snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
  f = fopen(path, "re");
  if (!f)
    return 0;
  if (fscanf(f, "%lld %lld", &pages[0], &pages[1]) != 2)
    pages[which] = 0;
  (void)fclose(f);
  return (int64_t)pages[which] * sysconf(_SC_PAGESIZE);
}

int64_t ccp_process_rss(pid_t pid) {
  return size_of(pid, 1);
}

void ccp_process_widen_output(void) {
  size_t now = __fbufsize(stdout); /* 0: not used yet */
  int by_line = now ? __flbf(stdout) != 0 : isatty(STDOUT_FILENO);
  int saved = errno;
  /* as a variable it would lie between ours, and workers would touch more
  ** pages; it is stdout's to the end */
  char *buffer = now != 1 ? malloc(LINE_BYTES) : NULL;
  if (buffer)
    (void)setvbuf(stdout, buffer, by_line ? _IOLBF : _IOFBF, LINE_BYTES);
  errno = saved;
}

/* Some more than 'more': the stack grows into the same address space, and its
** growth cannot fail but by a signal. */
void ccp_process_limit_memory(size_t more) {
  struct rlimit limit;
  rlim_t most = (rlim_t)size_of(getpid(), 0) + more + STACK_BYTES;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || most < more ||
      (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur <= most))
    return;
  limit.rlim_cur = most;
  (void)setrlimit(RLIMIT_AS, &limit);
}

/* Seeds, not secrets: the clock and the pid do where the kernel cannot. */
void ccp_process_random(void *p, size_t len) {
  unsigned char *to = p;
  uint64_t x = (uint64_t)ccp_clock_now_ns() ^ ((uint64_t)getpid() << 32);
  if (getrandom(p, len, GRND_NONBLOCK) == (ssize_t)len)
    return;
  for (size_t i = 0; i < len; i++) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    to[i] = (unsigned char)(x >> 56);
  }
}

const char *ccp_process_signame(int sig) {
  static const struct {
    int sig;
    const char *name;
  } names[] = {
      {SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},       {SIGQUIT, "SIGQUIT"},
      {SIGILL, "SIGILL"},   {SIGTRAP, "SIGTRAP"},     {SIGABRT, "SIGABRT"},
      {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},       {SIGKILL, "SIGKILL"},
      {SIGUSR1, "SIGUSR1"}, {SIGSEGV, "SIGSEGV"},     {SIGUSR2, "SIGUSR2"},
      {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"},     {SIGTERM, "SIGTERM"},
      {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"},     {SIGSYS, "SIGSYS"},
      {SIGIO, "SIGIO"},     {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].sig == sig)
      return names[i].name;
  return NULL;
}
