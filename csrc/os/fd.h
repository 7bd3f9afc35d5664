/*
** Descriptors: a wake-up counter that poll(2) sees, a pair of sockets for
** small messages, and waiting on several. All close on exec.
*/
#ifndef CCP_OS_FD_H
#define CCP_OS_FD_H

#include <stddef.h>
#include <stdint.h>

/* A program may run with stdin, stdout or stderr closed; a descriptor of ours
** that took their number would get its output. Gives fd, or another in its
** stead, or -1 (errno; fd is closed). */
int ccp_fd_above_stdio(int fd);

/* A new event descriptor, or -1 (errno). */
int ccp_fd_event(void);
/* Makes it readable. Async-signal-safe, never blocks, keeps errno. */
void ccp_fd_ring(int fd);
/* Makes it unreadable again. */
void ccp_fd_quiet(int fd);

/* Two connected ends that keep message boundaries. CCP_OK or CCP_E_SYS. */
int ccp_fd_pair(int ends[2]);
/* Sends one message whole. CCP_OK, CCP_E_CLOSED (no reader), CCP_E_SYS. */
int ccp_fd_send(int fd, const void *p, size_t len);
/* Takes one message of exactly 'len' bytes if there is one. CCP_OK,
** CCP_E_FULL (none now), CCP_E_CLOSED (the other end is gone). */
int ccp_fd_recv(int fd, void *p, size_t len);

/* Waits until one of n descriptors (-1: left out) is readable or hung up;
** sets bit i of the answer for fds[i]. 0: the deadline passed or a signal
** came. n <= 8. */
unsigned ccp_fd_wait(const int *fds, int n, int64_t deadline_ns);

/* Closes fd unless it is -1; keeps errno. */
void ccp_fd_close(int fd);

#endif
