/*
** Traces. The pool's lock guards them.
*/
#include "pool/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "task/bytes.h"

enum { DUE = 64 << 10, LINE = 512 };

struct ccp_trace {
  FILE *file; /* owned */
  int64_t zero_ns;
  int is_process;
  int any;   /* an event was written */
  int error; /* errno of the first write that failed */
  ccp_bytes text;
};

ccp_trace *ccp_trace_open(const char *path, int is_process) {
  ccp_trace *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  t->file = fopen(path, "we");
  if (!t->file) {
    free(t);
    return NULL;
  }
  /* a process that is forked meanwhile must not have a part to write, too */
  (void)setvbuf(t->file, NULL, _IONBF, 0);
  t->zero_ns = ccp_clock_now_ns();
  t->is_process = is_process;
  ccp_bytes_init(&t->text);
  (void)ccp_bytes_add(&t->text, "[\n", 2);
  return t;
}

/* A name as JSON has it; what is no plain ASCII becomes a question mark. */
static void quote(char *to, size_t room, const char *from) {
  size_t n = 0;
  for (; *from && n + 3 < room; from++) {
    unsigned char c = (unsigned char)*from;
    if (c == '"' || c == '\\')
      to[n++] = '\\';
    to[n++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
  }
  to[n] = '\0';
}

static void add(ccp_trace *t, const char *line, int len) {
  if (len <= 0 || len >= LINE)
    return;
  if (t->any)
    (void)ccp_bytes_add(&t->text, ",\n", 2);
  t->any = 1;
  if (ccp_bytes_add(&t->text, line, (size_t)len) != 0 && !t->error)
    t->error = ENOMEM;
}

static double us(int64_t ns) {
  return (double)ns / 1000;
}

/* Threads are rows of one process, processes rows of their own. */
void ccp_trace_item(ccp_trace *t, uint32_t worker, int32_t pid,
                    const char *name, uint64_t number, int64_t began_ns,
                    int64_t ended_ns) {
  char line[LINE], text[256], plain[32];
  (void)snprintf(plain, sizeof plain, "task %" PRIu64, number);
  quote(text, sizeof text, name ? name : plain);
  add(t, line,
      snprintf(line, sizeof line,
               "{\"name\":\"%s\",\"cat\":\"task\",\"ph\":\"X\",\"pid\":%d,"
               "\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"task\":%" PRIu64
               "}}",
               text, t->is_process ? (int)pid : 1, worker + 1,
               us(began_ns - t->zero_ns), us(ended_ns - began_ns), number));
}

void ccp_trace_worker(ccp_trace *t, uint32_t worker, int32_t pid,
                      const char *pool) {
  char line[LINE], text[256];
  quote(text, sizeof text, pool);
  add(t, line,
      snprintf(line, sizeof line,
               "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%u,"
               "\"args\":{\"name\":\"%s_%u\"}}",
               t->is_process ? (int)pid : 1, worker + 1, text, worker + 1));
}

int ccp_trace_is_due(const ccp_trace *t) {
  return t->text.len >= DUE;
}

void ccp_trace_flush(ccp_trace *t) {
  if (t->text.len > 0 && !t->error &&
      fwrite(ccp_bytes_at(&t->text), 1, t->text.len, t->file) != t->text.len)
    t->error = errno;
  ccp_bytes_free(&t->text);
}

int ccp_trace_close(ccp_trace *t) {
  int error;
  (void)ccp_bytes_add(&t->text, "\n]\n", 3);
  ccp_trace_flush(t);
  if (fclose(t->file) != 0 && !t->error)
    t->error = errno;
  error = t->error;
  free(t);
  return error;
}
