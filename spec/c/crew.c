/*
** The crew. crew_work and what it calls run in workers, the rest in the parent.
**
** Size: a pool in small; its parts only make sense together.
*/
#include "crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/fd.h"
#include "os/futex.h"
#include "os/mapping.h"
#include "shared/arena.h"
#include "task/task.h"
#include "worker/loop.h"

enum { SCRATCH = 8 << 20, LOOKS = 300 };

static const unsigned char tag[CREW_TAG] = {'f', 'u', 'n', 'c'};

uint32_t crew_mix(uint32_t n) {
  n = (n ^ (n >> 16)) * 0x7feb352du;
  n = (n ^ (n >> 15)) * 0x846ca68bu;
  return n ^ (n >> 16);
}

/* Bytes that belong to an item; 'salt' tells arguments from replies. */
static void write_bytes(unsigned char *p, size_t len, uint32_t id,
                        unsigned salt) {
  memset(p, (int)((id + salt) & 0xff), len);
  if (len >= sizeof id)
    memcpy(p, &id, sizeof id);
}

static int right_bytes(const unsigned char *p, size_t len, uint32_t id,
                       unsigned salt) {
  const unsigned char c = (unsigned char)((id + salt) & 0xff);
  if (len >= sizeof id && memcmp(p, &id, sizeof id) != 0)
    return 0;
  for (size_t i = sizeof id; i < len; i += i < 256 ? 1 : 61)
    if (p[i] != c)
      return 0;
  return len <= sizeof id || p[len - 1] == c;
}

/* ------------------------------------------------------------ the worker */

static size_t usual_argument(uint32_t id) {
  return crew_mix(id) % 24;
}

static size_t usual_run(crew *c, uint32_t me, uint32_t id) {
  (void)c;
  (void)me;
  return 4 + crew_mix(id) % 40;
}

static uint32_t begin(crew *c, const ccp_item *item) {
  uint32_t id = UINT32_MAX;
  if (item->args_len >= sizeof id)
    memcpy(&id, item->args, sizeof id);
  if (id >= c->total ||
      (item->fn &&
       (item->fn_len != CREW_TAG || memcmp(item->fn, tag, CREW_TAG) != 0)) ||
      !right_bytes(item->args, item->args_len, id, 1)) {
    atomic_fetch_add(&c->shared->wrong, 1);
    return 0;
  }
  atomic_fetch_add_explicit(&c->shared->begun[id], 1, memory_order_relaxed);
  return id;
}

static void reply(crew *c, ccp_loop *l, uint32_t id, size_t len,
                  unsigned char *buf) {
  void *block = NULL;
  if (len > CCP_REPLY_BYTES) {
    block = ccp_arena_alloc(len, NULL);
    if (!block)
      len = 4;
    atomic_store(&c->board->records[l->me].block, block);
  }
  write_bytes(block ? block : buf, len, id, 2);
  ccp_loop_reply(l, CCP_R_VALUES, buf, len, block);
}

static void crew_work(crew *c, uint32_t me) {
  ccp_record *r = &c->board->records[me];
  unsigned char *buf = malloc(CCP_REPLY_BYTES);
  const ccp_item *item;
  ccp_loop l;
  if (!buf)
    abort();
  ccp_loop_init(&l, c->board, me);
  atomic_store(&r->state, CCP_W_UP);
  while ((item = ccp_loop_next(&l)) != NULL) {
    uint32_t id = begin(c, item);
    reply(c, &l, id, c->run(c, me, id), buf);
  }
  atomic_store(&r->state, CCP_W_ENDED);
  free(buf);
}

static void thread_main(void *arg) {
  crew_worker *w = arg;
  crew_work(w->crew, w->me);
}

/* ------------------------------------------------------------ its life */

static void must(const void *p) {
  if (p)
    return;
  (void)fputs("crew: no memory\n", stderr);
  exit(EXIT_FAILURE);
}

void crew_init(crew *c, uint32_t workers, uint32_t total, int shared) {
  memset(c, 0, sizeof *c);
  c->workers = workers;
  c->total = total;
  c->run = usual_run;
  c->argument = usual_argument;
  c->poster.woken = CCP_NOBODY;
  c->board = ccp_board_new(workers, shared);
  must(c->board);
  atomic_store(&c->board->high, workers);
  c->shared_bytes = sizeof *c->shared + total;
  c->shared = ccp_mapping_shared(c->shared_bytes);
  must(c->shared);
  c->outcome = calloc(total, 1);
  c->backlog = calloc(total, sizeof *c->backlog);
  c->scratch = malloc(SCRATCH);
  must(c->outcome);
  must(c->backlog);
  must(c->scratch);
  c->board->spin_most = 1;
  atomic_store(&c->board->pace_ns, UINT32_MAX);
  atomic_store(&c->board->live, workers);
  c->board->supervisor_fd = ccp_fd_event();
  atomic_store(&c->board->owner, &c->shared->bell);
  for (uint32_t w = 0; w < workers; w++) {
    c->worker[w].crew = c;
    c->worker[w].me = w;
  }
}

void crew_fini(crew *c) {
  ccp_fd_close(c->board->supervisor_fd);
  ccp_board_free(c->board);
  ccp_mapping_free(c->shared, c->shared_bytes);
  free(c->outcome);
  free(c->backlog);
  free(c->scratch);
}

void crew_start_threads(crew *c) {
  for (uint32_t w = 0; w < c->workers; w++)
    if (ccp_thread_start(&c->worker[w].thread, thread_main, &c->worker[w], 0))
      must(NULL);
}

static void clear_record(ccp_record *r) {
  atomic_store(&r->head, 0);
  atomic_store(&r->tail, 0);
  atomic_store(&r->block, NULL);
  atomic_store(&r->tasks, 0);
  atomic_store(&r->quit, 0);
  atomic_store(&r->full, 0);
  atomic_store(&r->bell, 0);
  atomic_store(&r->state, CCP_W_STARTING);
}

void crew_fork(crew *c, uint32_t w) {
  crew_worker *k = &c->worker[w];
  memset(&k->reader, 0, sizeof k->reader);
  k->last_block = NULL;
  clear_record(&c->board->records[w]);
  k->pid = fork();
  if (k->pid < 0)
    must(NULL);
  if (k->pid == 0) {
    (void)alarm(100); /* whatever becomes of the parent */
    crew_work(c, w);
    _exit(0);
  }
}

void crew_close(crew *c) {
  atomic_store(&c->board->closing, 1);
  ccp_board_wake_all(c->board, &c->poster);
  for (uint32_t w = 0; w < c->workers; w++) {
    if (c->worker[w].pid > 0)
      (void)waitpid(c->worker[w].pid, NULL, 0);
    c->worker[w].pid = 0;
    (void)ccp_thread_join(&c->worker[w].thread, CCP_NEVER);
  }
}

/* ------------------------------------------------------------ posting */

static size_t put_item(const crew *c, unsigned char *to, uint32_t id) {
  size_t len = sizeof id + c->argument(id);
  write_bytes(to, len, id, 1);
  return len;
}

static size_t make_body(const crew *c, uint32_t first, uint32_t items) {
  unsigned char *p = c->scratch;
  uint32_t len = CREW_TAG;
  if (items == 1 && first % 2) {
    *p++ = CCP_BODY_CALL;
    return 1 + put_item(c, p, first);
  }
  *p++ = CCP_BODY_CHUNK;
  memcpy(p, &len, sizeof len);
  memcpy(p + sizeof len, tag, CREW_TAG);
  p += sizeof len + CREW_TAG;
  for (uint32_t i = 0; i < items; i++) {
    len = (uint32_t)put_item(c, p + sizeof len, first + i);
    memcpy(p, &len, sizeof len);
    p += sizeof len + len;
  }
  return (size_t)(p - c->scratch);
}

static int post(crew *c, uint32_t first, uint32_t items) {
  int slot = ccp_board_room(c->board, &c->poster);
  size_t len;
  crew_call *call;
  ccp_call posted;
  if (slot < 0)
    return 0;
  len = make_body(c, first, items);
  call = &c->by_slot[slot];
  c->wrong += call->items != 0;
  call->first = first;
  call->items = items;
  call->done = 0;
  call->block = len > CCP_ANNEX_BYTES ? ccp_arena_alloc(len, NULL) : NULL;
  if (call->block)
    memcpy(call->block, c->scratch, len);
  posted = (ccp_call){call->block ? call->block : c->scratch,
                      len,
                      call->block != NULL,
                      items,
                      1,
                      0};
  ccp_board_post(c->board, &c->poster, slot, &posted);
  return 1;
}

static void put_back(crew *c, uint32_t first, uint32_t items) {
  c->backlog[c->backlog_n].first = first;
  c->backlog[c->backlog_n++].items = items;
}

void crew_post(crew *c, uint32_t first, uint32_t items) {
  if (!post(c, first, items))
    put_back(c, first, items);
}

void crew_fill(crew *c) {
  while (c->backlog_n && post(c, c->backlog[c->backlog_n - 1].first,
                              c->backlog[c->backlog_n - 1].items))
    c->backlog_n--;
  atomic_store_explicit(&c->board->backlog, c->backlog_n, memory_order_relaxed);
  ccp_board_wake(c->board, &c->poster);
}

static void come_out(crew *c, uint32_t id, enum crew_outcome outcome) {
  if (id >= c->total || c->outcome[id] != CREW_NONE) {
    c->wrong++;
    return;
  }
  c->outcome[id] = (uint8_t)outcome;
  c->finished++;
}

static void forget_call(crew_call *call) {
  ccp_arena_free(call->block);
  memset(call, 0, sizeof *call);
}

static void release(crew *c, int slot) {
  forget_call(&c->by_slot[slot]);
  ccp_board_release(c->board, &c->poster, slot);
}

int crew_cancel(crew *c, int slot) {
  crew_call *call = &c->by_slot[slot];
  if (call->items == 0 || !ccp_board_retract(c->board, &c->poster, slot))
    return 0;
  for (uint32_t i = 0; i < call->items; i++)
    come_out(c, call->first + i, CREW_CANCELLED);
  forget_call(call);
  return 1;
}

/* ------------------------------------------------------------ draining */

static void take_reply(crew *c, crew_worker *w, const ccp_reply *r) {
  crew_call *call = r->slot < CCP_WINDOW ? &c->by_slot[r->slot] : NULL;
  if (r->is_block)
    w->last_block = r->bytes;
  if (!call || call->items == 0 || !ccp_board_is(&c->poster, r->slot, r->lap) ||
      r->item != call->done ||
      !right_bytes(r->bytes, r->len, call->first + call->done, 2))
    c->wrong++;
  else {
    come_out(c, call->first + call->done, CREW_DONE);
    if (++call->done == call->items)
      release(c, r->slot);
  }
  if (r->is_block)
    ccp_arena_free(ccp_arena_own(r->bytes));
}

/* An idle worker asked: half of what some chunk has left is posted anew. What
** it keeps may all be in already. */
static void share(crew *c) {
  ccp_board *b = c->board;
  if (!atomic_exchange(&b->ask, 0))
    return;
  for (int i = 0; i < CCP_WINDOW; i++) {
    crew_call *call = &c->by_slot[i];
    ccp_claim_word w;
    int from;
    if (call->items < 2)
      continue;
    w = ccp_board_look(b, i);
    if (w.state != CCP_CLAIMED || w.next >= w.limit)
      continue;
    from = ccp_board_cut(b, i, (uint32_t)(w.limit - w.next) / 2);
    if (from < 0)
      continue;
    put_back(c, call->first + (uint32_t)from, call->items - (uint32_t)from);
    call->items = (uint32_t)from;
    if (call->done == call->items)
      release(c, i);
    c->shares++;
    crew_fill(c);
    return;
  }
}

uint32_t crew_drain(crew *c) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < c->workers; i++) {
    crew_worker *w = &c->worker[i];
    ccp_reply r;
    uint32_t before = n;
    int rc;
    if (!ccp_replies_any(c->board, i))
      continue;
    while ((rc = ccp_replies_next(c->board, i, &w->reader, &r)) == CCP_OK) {
      take_reply(c, w, &r);
      n++;
    }
    c->wrong += rc != CCP_E_FULL;
    if (n > before)
      ccp_replies_done(c->board, i, &w->reader);
  }
  share(c);
  return n;
}

static int stirs(const crew *c) {
  if (atomic_load(&c->board->ask))
    return 1;
  for (uint32_t i = 0; i < c->workers; i++)
    if (ccp_replies_any(c->board, i))
      return 1;
  return 0;
}

static int search(crew *c) {
  int found = 0;
  if (!ccp_board_spin_enter(c->board))
    return 0;
  for (int i = 0; i < LOOKS && !found; i++) {
    ccp_clock_pause();
    found = stirs(c);
  }
  ccp_board_spin_leave(c->board);
  return found;
}

static void set_bell(crew *c, uint32_t state) {
  atomic_exchange_explicit(&c->shared->bell.state, state, memory_order_seq_cst);
}

void crew_wait(crew *c, int64_t at_most_ns) {
  ccp_bell *bell = &c->shared->bell;
  int64_t until =
      at_most_ns == CCP_NEVER ? CCP_NEVER : ccp_clock_now_ns() + at_most_ns;
  set_bell(c, CCP_LOOKING);
  while (!crew_drain(c) && ccp_clock_now_ns() < until) {
    uint32_t word;
    if (search(c))
      continue;
    word = atomic_load_explicit(&bell->word, memory_order_seq_cst);
    set_bell(c, CCP_ASLEEP);
    if (!stirs(c))
      (void)ccp_futex_wait(&bell->word, word, until);
    set_bell(c, CCP_LOOKING);
  }
  set_bell(c, CCP_AWAY);
  if (stirs(c))
    (void)crew_drain(c);
}

/* ------------------------------------------------------------ deaths */

static void settle(crew *c, int slot, const ccp_claim_word *word) {
  crew_call call = c->by_slot[slot];
  c->by_slot[slot].block = NULL;
  release(c, slot);
  if (word->next > call.done) /* it had begun that item */
    come_out(c, call.first + call.done++, CREW_CRASHED);
  if (call.done < call.items)
    put_back(c, call.first + call.done, call.items - call.done);
  ccp_arena_free(call.block);
}

void crew_settle(crew *c, uint32_t w) {
  void *block;
  (void)crew_drain(c);
  block = atomic_load(&c->board->records[w].block);
  if (block && block != c->worker[w].last_block && ccp_arena_valid(block, 0))
    ccp_arena_free(block);
  for (int i = 0; i < CCP_WINDOW; i++) {
    ccp_claim_word word;
    if (c->by_slot[i].items == 0)
      continue;
    word = ccp_board_look(c->board, i);
    if (word.state == CCP_CLAIMED && word.worker == w)
      settle(c, i, &word);
  }
  ccp_board_bury(c->board, &c->poster, w);
}

uint32_t crew_faults(const crew *c, uint32_t end) {
  uint32_t faults = c->wrong + atomic_load(&c->shared->wrong);
  for (uint32_t id = 0; id < end; id++) {
    uint8_t begun = atomic_load(&c->shared->begun[id]);
    if (c->outcome[id] == CREW_DONE)
      faults += begun != 1;
    else if (c->outcome[id] == CREW_CRASHED)
      faults += begun > 1; /* it may have died before it said so */
    else
      faults += c->outcome[id] == CREW_NONE || begun != 0;
  }
  return faults;
}
