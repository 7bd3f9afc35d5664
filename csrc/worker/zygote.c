/*
** The zygote. The first half runs in the zygote, a process with one thread
** and no Lua code of its own; the second half in the program.
*/
#include "worker/zygote.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/codes.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/mapping.h"
#include "os/process.h"
#include "os/thread.h"
#include "shared/object.h"
#include "worker/vm.h"

typedef struct zygote {
  const ccp_plan *plan;
  struct lua_State *L;
  int fd;      /* to the program */
  int program; /* pidfd: readable once the program is gone; or -1 */
  int keep;
  pid_t self;
  pid_t *children; /* by worker index; 0: none; not for children's eyes */
} zygote;

/* ------------------------------------------------------------ in the zygote */

static void on_child(int sig) {
  (void)sig; /* ppoll returns, that is all */
}

static void tell(const zygote *z, int32_t order, int32_t index, int32_t pid,
                 int32_t value) {
  ccp_zygote_message m = {order, index, pid, value};
  (void)ccp_fd_send(z->fd, &m, sizeof m); /* if nobody listens, we end soon */
}

/* The worker: everything that belongs to the zygote is left behind. */
static void be_worker(const zygote *z, uint32_t index) {
  ccp_self self = {0};
  self.plan = z->plan;
  self.index = index;
  ccp_fd_close(z->fd);
  ccp_fd_close(z->program);
  if (!ccp_process_be_worker(z->self))
    _exit(EXIT_FAILURE);
  CCP_FAULT("born");
  ccp_vm_main(&self, z->L);
  (void)fflush(stdout);
  (void)fflush(stderr);
  _exit(EXIT_SUCCESS);
}

static void spawn(zygote *z, uint32_t index) {
  pid_t pid;
  if (index >= z->plan->board->workers)
    return;
  CCP_FAULT("fork");
  pid = ccp_process_fork_silent(&z->keep, 1);
  if (pid == 0)
    be_worker(z, index);
  if (pid < 0) {
    tell(z, CCP_Z_FAILED, (int32_t)index, 0, errno);
    return;
  }
  (void)setpgid(pid, pid); /* the child does it too: whoever comes first */
  z->children[index] = pid;
}

/* The group is signalled before its leader is reaped: until then nobody else
** can get the number. Locks that it held are free before anybody hears of its
** end. */
static void bury(zygote *z, pid_t pid) {
  int status = 0;
  (void)kill(-pid, SIGKILL);
  ccp_object_reap_process(pid);
  CCP_FAULT("reap");
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
  for (uint32_t i = 0; i < z->plan->board->workers; i++)
    if (z->children[i] == pid) {
      z->children[i] = 0;
      tell(z, CCP_Z_DIED, (int32_t)i, pid, status);
      return;
    }
}

static void reap(zygote *z) {
  for (;;) {
    siginfo_t info;
    info.si_pid = 0;
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0)
      return;
    bury(z, info.si_pid);
  }
}

static void signal_worker(const zygote *z, uint32_t index, int sig) {
  pid_t pid = index < z->plan->board->workers ? z->children[index] : 0;
  if (pid <= 0)
    return;
  (void)kill(-pid, sig);
  if (sig != SIGKILL) /* or a stopped process would never get it */
    (void)kill(-pid, SIGCONT);
}

static void end_all(const zygote *z) {
  for (uint32_t i = 0; i < z->plan->board->workers; i++)
    if (z->children[i] > 0)
      (void)kill(-z->children[i], SIGKILL);
  _exit(EXIT_SUCCESS);
}

static void obey(zygote *z) {
  ccp_zygote_message m;
  int rc;
  while ((rc = ccp_fd_recv(z->fd, &m, sizeof m)) == CCP_OK) {
    if (m.order == CCP_Z_SPAWN)
      for (int32_t i = 0; i < m.value; i++)
        spawn(z, (uint32_t)m.index + (uint32_t)i);
    else if (m.order == CCP_Z_SIGNAL)
      signal_worker(z, (uint32_t)m.index, m.value);
  }
  if (rc == CCP_E_CLOSED)
    end_all(z);
}

/* SIGCHLD is blocked except in ppoll, so no death goes unnoticed between
** reaping and waiting. */
static void live(zygote *z) {
  struct sigaction sa;
  sigset_t but_child;
  memset(&sa, 0, sizeof sa);
  sa.sa_handler = on_child;
  (void)sigemptyset(&sa.sa_mask);
  (void)sigaction(SIGCHLD, &sa, NULL);
  (void)sigfillset(&but_child);
  (void)sigdelset(&but_child, SIGCHLD);
  for (;;) {
    struct pollfd set[2] = {{z->fd, POLLIN, 0}, {z->program, POLLIN, 0}};
    reap(z);
    if (ppoll(set, 2, NULL, &but_child) <= 0)
      continue;
    if (set[1].revents)
      end_all(z);
    obey(z);
  }
}

static void be_zygote(zygote *z, pid_t program) {
  size_t bytes = z->plan->board->workers * sizeof *z->children;
  char name[16];
  ccp_process_be_zygote();
  ccp_process_widen_output();
  (void)snprintf(name, sizeof name, "%.13s_z", z->plan->name);
  ccp_thread_name(name);
  z->self = getpid();
  z->children = ccp_mapping_private(bytes);
  z->program = ccp_process_pidfd(program);
  z->L = ccp_vm_inherit(z->L);
  if (!z->children || !z->L || getppid() != program)
    _exit(EXIT_FAILURE);
  ccp_mapping_hide(z->children, bytes); /* written at each fork: not copied */
  live(z);
}

/* ---------------------------------------------------------- in the program */

int ccp_zygote_start(ccp_zygote *z, const ccp_plan *plan, struct lua_State *L,
                     int keep) {
  int ends[2], kept[2];
  zygote child = {plan, L, -1, -1, keep, 0, NULL};
  pid_t program = getpid();
  z->fd = -1;
  if (ccp_fd_pair(ends) != CCP_OK)
    return CCP_E_SYS;
  kept[0] = child.fd = ends[1];
  kept[1] = keep;
  z->pid =
      ccp_process_own_fd(ends[0]) == CCP_OK ? ccp_process_fork(kept, 2) : -1;
  if (z->pid == 0)
    be_zygote(&child, program);
  ccp_fd_close(ends[1]);
  if (z->pid < 0) {
    ccp_process_close_fd(ends[0]);
    return CCP_E_SYS;
  }
  z->fd = ends[0];
  return CCP_OK;
}

int ccp_zygote_send(const ccp_zygote *z, enum ccp_zygote_order order,
                    uint32_t index, int value) {
  ccp_zygote_message m = {(int32_t)order, (int32_t)index, 0, value};
  return z->fd < 0 ? CCP_E_CLOSED : ccp_fd_send(z->fd, &m, sizeof m);
}

int ccp_zygote_receive(const ccp_zygote *z, ccp_zygote_message *m) {
  return z->fd < 0 ? CCP_E_CLOSED : ccp_fd_recv(z->fd, m, sizeof *m);
}

/* The program may have reaped it itself, with wait(-1): ECHILD is fine. */
void ccp_zygote_stop(ccp_zygote *z) {
  if (z->fd < 0)
    return;
  ccp_process_close_fd(z->fd);
  z->fd = -1;
  while (waitpid(z->pid, NULL, 0) < 0 && errno == EINTR)
    ;
}
