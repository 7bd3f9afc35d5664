/*
** Queues. Any thread of any process.
**
** Size: every step on the records, and what makes them whole again, is here.
*/
#include "shared/queue.h"

#include <string.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/cpu.h"
#include "os/fault.h"
#include "shared/arena.h"
#include "shared/keeping.h"

enum {
  SEGMENT = 64 * 1024 - 64, /* a power of two with the arena's header */
  SEARCH_NS = 10000,        /* less than a wake-up costs */
  LOOKS = 16
};

struct ccp_segment {
  ccp_segment *next;
  uint32_t written, read; /* bytes of 'bytes' */
  unsigned char bytes[SEGMENT - 16];
};

typedef struct record {
  uint32_t len; /* of the message with its prefix */
  uint32_t names;
  void *block; /* or NULL: the bytes follow */
} record;

/* The beginning of each message. */
typedef struct prefix {
  _Atomic uint64_t linked; /* of a block: it belongs to a queue */
  uint64_t len;            /* of a block: of all */
} prefix;

static ccp_queue *of(ccp_object *o) {
  return (ccp_queue *)(void *)o;
}

static record *record_at(ccp_segment *s, uint32_t at) {
  return (record *)(void *)(s->bytes + at);
}

static uint32_t size_of(uint32_t inline_len) {
  return (uint32_t)sizeof(record) + ((inline_len + 15) & ~15u);
}

static uint32_t size_at(ccp_segment *s, uint32_t at) {
  const record *r = record_at(s, at);
  return size_of(r->block ? 0 : r->len);
}

/* ------------------------------------------------------------ the mutex */

static uint64_t count(ccp_queue *q) {
  uint64_t n = 0;
  for (ccp_segment *s = q->head; s; s = s->next) {
    q->tail = s;
    if (s == q->spare)
      q->spare = NULL;
    for (uint32_t at = s->read; at < s->written; at += size_at(s, at))
      n++;
  }
  return n;
}

/* How many were put or taken follows from how many are there: a death leaves
** one of the two counts one behind its record. */
static void queue_repair(ccp_object *o) {
  ccp_queue *q = of(o);
  uint64_t n = count(q), puts = atomic_load(&q->puts);
  uint64_t before = puts - atomic_load(&q->taken);
  if (n < before)
    atomic_fetch_add(&q->taken, before - n);
  else
    atomic_store(&q->puts, puts + (n - before));
}

static void queue_left(ccp_object *o, uint32_t member, int died) {
  (void)o;
  (void)member;
  (void)died;
}

/* Where the message ends, and its names with it. */
static const unsigned char *end_of(const record *r) {
  const prefix *p = r->block;
  return p ? (const unsigned char *)r->block + p->len
           : (const unsigned char *)(r + 1) + r->len;
}

static void queue_names(ccp_object *o,
                        void (*f)(const unsigned char *end, uint32_t n)) {
  for (ccp_segment *s = of(o)->head; s; s = s->next)
    for (uint32_t at = s->read; at < s->written; at += size_at(s, at)) {
      const record *r = record_at(s, at);
      if (r->names)
        f(end_of(r), r->names);
    }
}

static void drop_record(const record *r) {
  if (r->names)
    ccp_keeping_gone(end_of(r), r->names);
  ccp_arena_free(r->block);
}

static void queue_fini(ccp_object *o) {
  ccp_queue *q = of(o);
  ccp_segment *spare = q->spare;
  q->spare = NULL;
  ccp_arena_free(spare);
  while (q->head) {
    ccp_segment *s = q->head;
    while (s->read < s->written) {
      record *r = record_at(s, s->read);
      CCP_FAULT("keep");
      s->read += size_at(s, s->read);
      drop_record(r);
    }
    q->head = s->next;
    ccp_arena_free(s);
  }
}

const ccp_object_ops ccp_queue_ops = {queue_repair, queue_left, queue_fini,
                                      queue_names};

ccp_queue *ccp_queue_new(uint64_t maxsize) {
  ccp_queue *q = ccp_object_new(CCP_K_QUEUE, sizeof *q);
  if (q)
    q->maxsize = maxsize;
  return q;
}

/* ------------------------------------------------------------ putting */

static ccp_segment *new_segment(ccp_queue *q) {
  ccp_segment *s = q->spare;
  if (!s) {
    q->spare = s = ccp_arena_alloc(sizeof *s, NULL);
    if (!s)
      return NULL;
  }
  s->next = NULL;
  s->written = s->read = 0;
  return s;
}

/* A segment is linked while it is still the spare one: the repair sees that. */
static ccp_segment *segment_for(ccp_queue *q, uint32_t size) {
  ccp_segment *s;
  if (q->tail && sizeof q->tail->bytes - q->tail->written >= size)
    return q->tail;
  s = new_segment(q);
  if (!s)
    return NULL;
  if (q->tail)
    q->tail->next = s;
  else
    q->head = s;
  q->tail = s;
  q->spare = NULL;
  return s;
}

static int append(ccp_queue *q, const ccp_item_out *item) {
  uint32_t size = size_of(item->is_block ? 0 : (uint32_t)item->len);
  ccp_segment *s = segment_for(q, size);
  record *r;
  if (!s)
    return CCP_E_NOMEM;
  r = record_at(s, s->written);
  r->names = item->names;
  r->block = NULL;
  r->len = (uint32_t)item->len;
  if (item->is_block) {
    prefix *p = (prefix *)(void *)item->data;
    p->len = item->len;
    atomic_store(&p->linked, 1);
    r->block = item->data;
  } else
    memcpy(r + 1, item->data, item->len);
  /* from here on it is in the queue; a compiler must not move that */
  atomic_signal_fence(memory_order_release);
  CCP_FAULT("keep");
  s->written += size;
  CCP_FAULT("keep");
  atomic_fetch_add_explicit(&q->puts, 1, memory_order_relaxed);
  return CCP_OK;
}

static uint64_t size_now(const ccp_queue *q) {
  return atomic_load_explicit(&q->puts, memory_order_relaxed) -
         atomic_load_explicit(&q->taken, memory_order_relaxed);
}

static int is_full(const ccp_queue *q) {
  return q->maxsize && size_now(q) >= q->maxsize;
}

/* As ccp_queue_put, but does not wait: CCP_E_FULL. */
static int put_now(ccp_queue *q, const ccp_item_out *item, uint32_t *wake) {
  int rc;
  if (atomic_load(&q->closed))
    return CCP_E_CLOSED;
  if (is_full(q))
    return CCP_E_FULL;
  rc = append(q, item);
  if (rc == CCP_OK)
    *wake = ccp_sleepers_call(&q->getters, 1);
  return rc;
}

static int wait_for_room(ccp_queue *q, int64_t deadline_ns) {
  int rc = CCP_OK;
  while (rc == CCP_OK && !atomic_load(&q->closed) && is_full(q))
    rc = ccp_sleep(&q->object, &q->putters, deadline_ns);
  return is_full(q) && !atomic_load(&q->closed) ? rc : CCP_OK;
}

/* A message that names objects needs the directory's mutex, which comes before
** the queue's and with which nobody sleeps. */
int ccp_queue_put(ccp_queue *q, const ccp_item_out *item, int64_t deadline_ns) {
  int named = item->names > 0, waited, rc;
  uint32_t wake = 0;
  do {
    waited = CCP_OK;
    if (named)
      ccp_keeping_begin();
    ccp_object_lock(&q->object);
    while ((rc = put_now(q, item, &wake)) == CCP_E_FULL && !named &&
           waited == CCP_OK)
      waited = wait_for_room(q, deadline_ns);
    if (named) {
      if (rc == CCP_OK)
        ccp_keeping_stored(item->data + item->len, item->names);
      ccp_keeping_end();
      if (rc == CCP_E_FULL)
        waited = wait_for_room(q, deadline_ns);
    }
    ccp_object_unlock(&q->object);
  } while (rc == CCP_E_FULL && waited == CCP_OK);
  ccp_sleepers_wake(&q->getters, wake);
  return rc == CCP_E_FULL ? waited : rc;
}

/* ------------------------------------------------------------ getting */

/* An empty segment that is not the last is the spare one before it leaves the
** chain: the repair sees that it is both. */
static void pass(ccp_queue *q, ccp_segment *s) {
  ccp_segment *surplus = q->spare ? s : NULL;
  if (s->read < s->written || !s->next)
    return;
  if (!surplus)
    q->spare = s;
  q->head = s->next;
  ccp_arena_free(surplus);
}

/* A block is in this process's hands once it has left the queue; a death
** between the two loses it, and never frees what the queue still has. */
static void take(ccp_queue *q, const record *r, unsigned char *room,
                 ccp_item_in *item) {
  ccp_segment *s = q->head;
  prefix *p = r->block;
  item->names = r->names;
  item->block = r->block;
  item->len = p ? (size_t)p->len : r->len;
  item->data = p ? r->block : room;
  if (!p)
    memcpy(room, r + 1, r->len);
  atomic_signal_fence(memory_order_release);
  CCP_FAULT("keep");
  s->read += size_at(s, s->read);
  CCP_FAULT("keep");
  atomic_fetch_add_explicit(&q->taken, 1, memory_order_relaxed);
  if (p)
    ccp_hand_hold(p);
  pass(q, s);
}

/* About as long as a wake-up would take, and only where there is another
** processor for who puts. */
static void search(const ccp_queue *q) {
  static _Atomic int processors; /* relaxed: all find the same */
  int64_t until;
  int n = atomic_load_explicit(&processors, memory_order_relaxed);
  if (n == 0) {
    n = ccp_cpu_affinity();
    atomic_store_explicit(&processors, n, memory_order_relaxed);
  }
  if (n < 2)
    return;
  until = ccp_clock_now_ns() + SEARCH_NS;
  do
    for (int i = 0; i < LOOKS; i++) {
      if (size_now(q) != 0)
        return;
      ccp_clock_pause();
    }
  while (ccp_clock_now_ns() < until);
}

static int wait_for_item(ccp_queue *q, int64_t deadline_ns) {
  int rc = CCP_OK;
  while (rc == CCP_OK && size_now(q) == 0 && !atomic_load(&q->closed))
    rc = ccp_sleep(&q->object, &q->getters, deadline_ns);
  return rc;
}

/* As ccp_queue_get, but does not wait: CCP_E_TIMEOUT. Without the directory's
** mutex a message that names objects stays: CCP_E_NOTHELD. */
static int get_now(ccp_queue *q, unsigned char *room, ccp_item_in *item,
                   int named, uint32_t *wake) {
  const record *r;
  if (size_now(q) == 0)
    return atomic_load(&q->closed) ? CCP_E_CLOSED : CCP_E_TIMEOUT;
  while (q->head->read == q->head->written)
    pass(q, q->head);
  r = record_at(q->head, q->head->read);
  if (r->names && !named)
    return CCP_E_NOTHELD;
  if (r->names && ccp_keeping_hand(end_of(r), r->names) != CCP_OK)
    return CCP_E_NOMEM;
  take(q, r, room, item);
  if (item->names)
    ccp_keeping_dropped(item->data + item->len, item->names);
  if (q->maxsize)
    *wake = ccp_sleepers_call(&q->putters, 1);
  return CCP_OK;
}

/* With the directory's mutex, which comes before the queue's, another may have
** been faster: then it waits again. */
int ccp_queue_get(ccp_queue *q, unsigned char *room, ccp_item_in *item,
                  int64_t deadline_ns) {
  int rc = CCP_OK, waited, named;
  uint32_t wake = 0;
  if (deadline_ns > 0 && size_now(q) == 0)
    search(q);
  do {
    named = rc == CCP_E_NOTHELD;
    if (named)
      ccp_keeping_begin();
    ccp_object_lock(&q->object);
    waited = named ? CCP_OK : wait_for_item(q, deadline_ns);
    rc = get_now(q, room, item, named, &wake);
    ccp_object_unlock(&q->object);
    if (named)
      ccp_keeping_end();
  } while (rc == CCP_E_NOTHELD || (named && rc == CCP_E_TIMEOUT));
  ccp_sleepers_wake(&q->putters, wake);
  return rc == CCP_E_TIMEOUT ? waited : rc;
}

/* ------------------------------------------------------------ the rest */

void ccp_queue_close(ccp_queue *q) {
  uint32_t getters, putters;
  ccp_object_lock(&q->object);
  atomic_store(&q->closed, 1);
  getters = ccp_sleepers_call(&q->getters, UINT32_MAX);
  putters = ccp_sleepers_call(&q->putters, UINT32_MAX);
  ccp_object_unlock(&q->object);
  ccp_sleepers_wake(&q->getters, getters);
  ccp_sleepers_wake(&q->putters, putters);
}

uint64_t ccp_queue_size(ccp_queue *q) {
  uint64_t n;
  ccp_object_lock(&q->object);
  n = size_now(q);
  ccp_object_unlock(&q->object);
  return n;
}

int ccp_queue_is_closed(const ccp_queue *q) {
  return atomic_load(&q->closed) != 0;
}

static uint64_t unfinished(const ccp_queue *q) {
  return atomic_load_explicit(&q->puts, memory_order_relaxed) - q->dones;
}

int ccp_queue_done(ccp_queue *q) {
  uint32_t wake = 0;
  int ok;
  ccp_object_lock(&q->object);
  ok = unfinished(q) > 0;
  q->dones += ok != 0;
  if (ok && unfinished(q) == 0)
    wake = ccp_sleepers_call(&q->joiners, UINT32_MAX);
  ccp_object_unlock(&q->object);
  ccp_sleepers_wake(&q->joiners, wake);
  return ok ? CCP_OK : CCP_E_NOTHELD;
}

int ccp_queue_join(ccp_queue *q, int64_t deadline_ns) {
  int rc = CCP_OK, done;
  ccp_object_lock(&q->object);
  while ((done = unfinished(q) == 0) == 0 && rc == CCP_OK)
    rc = ccp_sleep(&q->object, &q->joiners, deadline_ns);
  ccp_object_unlock(&q->object);
  return done ? CCP_OK : rc;
}
