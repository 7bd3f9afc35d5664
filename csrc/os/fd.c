/*
** Descriptors. Any thread.
*/
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/codes.h"

enum { MOST = 8, FIRST_FREE = 3 };

int ccp_fd_above_stdio(int fd) {
  int moved, saved;
  if (fd < 0 || fd >= FIRST_FREE)
    return fd;
  moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE);
  saved = errno;
  (void)close(fd);
  errno = saved;
  return moved;
}

int ccp_fd_event(void) {
  return ccp_fd_above_stdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void ccp_fd_ring(int fd) {
  const uint64_t one = 1;
  int saved = errno;
  ssize_t n;
  do
    n = write(fd, &one, sizeof one);
  while (n < 0 && errno == EINTR);
  errno = saved;
}

void ccp_fd_quiet(int fd) {
  uint64_t count;
  int saved = errno;
  ssize_t n;
  do
    n = read(fd, &count, sizeof count);
  while (n < 0 && errno == EINTR);
  errno = saved;
}

int ccp_fd_pair(int ends[2]) {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return CCP_E_SYS;
  ends[0] = ccp_fd_above_stdio(ends[0]);
  ends[1] = ccp_fd_above_stdio(ends[1]);
  if (ends[0] >= 0 && ends[1] >= 0)
    return CCP_OK;
  ccp_fd_close(ends[0]);
  ccp_fd_close(ends[1]);
  return CCP_E_SYS;
}

int ccp_fd_send(int fd, const void *p, size_t len) {
  ssize_t n;
  do
    n = send(fd, p, len, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n == (ssize_t)len)
    return CCP_OK;
  return (n < 0 && (errno == EPIPE || errno == ECONNRESET)) ? CCP_E_CLOSED
                                                            : CCP_E_SYS;
}

int ccp_fd_recv(int fd, void *p, size_t len) {
  ssize_t n;
  do
    n = recv(fd, p, len, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n == (ssize_t)len)
    return CCP_OK;
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return CCP_E_FULL;
  return CCP_E_CLOSED;
}

unsigned ccp_fd_wait(const int *fds, int n, int64_t deadline_ns) {
  struct pollfd set[MOST];
  struct timespec ts, *limit = NULL;
  unsigned ready = 0;
  for (int i = 0; i < n && i < MOST; i++) {
    set[i].fd = fds[i];
    set[i].events = POLLIN;
    set[i].revents = 0;
  }
  if (deadline_ns != CCP_NEVER) {
    int64_t left = deadline_ns - ccp_clock_now_ns();
    left = left > 0 ? left : 0;
    ts.tv_sec = (time_t)(left / CCP_NS_PER_S);
    ts.tv_nsec = (long)(left % CCP_NS_PER_S);
    limit = &ts;
  }
  if (ppoll(set, (nfds_t)n, limit, NULL) <= 0)
    return 0;
  for (int i = 0; i < n && i < MOST; i++)
    if (set[i].revents)
      ready |= 1u << i;
  return ready;
}

void ccp_fd_close(int fd) {
  int saved = errno;
  if (fd >= 0 && close(fd) != 0)
    errno = saved;
}
