/*
** What the C tests share: checks that any thread may make, counted by test,
** and an alarm for the test that hangs.
*/
#ifndef CHECK_H
#define CHECK_H

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
  CHECK_SECONDS = 60, /* a test that takes longer hangs */
  CHECK_SAID_MOST = 5 /* failures of one test that are printed */
};

static _Atomic int check_wrong; /* failed checks of the test that runs */
static int check_passed, check_failed;
static const char *check_name;

/* A failed check is printed and counted; the test goes on. */
static inline int check_that(int ok, const char *what, const char *file,
                             int line) {
  if (!ok && atomic_fetch_add(&check_wrong, 1) < CHECK_SAID_MOST)
    printf("%s:%d: %s: %s\n", file, line, check_name, what);
  return ok;
}
#define CHECK(e) check_that((e) != 0, #e, __FILE__, __LINE__)

static inline void check_hangs(int sig) {
  char text[200];
  int n = snprintf(text, sizeof text, "%s hangs\n%d passed, %d failed\n",
                   check_name, check_passed, check_failed + 1);
  (void)sig;
  if (write(STDOUT_FILENO, text, (size_t)n) < 0)
    _exit(2);
  _exit(1);
}

static inline double check_seconds(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* CHECK_TIMES in the environment: says how long each test took. */
static inline void check_run(void (*test)(void), const char *name) {
  double began = check_seconds();
  check_name = name;
  atomic_store(&check_wrong, 0);
  (void)signal(SIGALRM, check_hangs);
  (void)alarm(CHECK_SECONDS);
  test();
  (void)alarm(0);
  if (getenv("CHECK_TIMES"))
    printf("%6.2f s  %s\n", check_seconds() - began, name);
  if (atomic_load(&check_wrong) == 0)
    check_passed++;
  else
    check_failed++;
  (void)fflush(stdout); /* a child must not say it again */
}
#define RUN(test) check_run(test, #test)

/* The exit status of the program. */
static inline int check_tally(void) {
  printf("%d passed, %d failed\n", check_passed, check_failed);
  return check_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
