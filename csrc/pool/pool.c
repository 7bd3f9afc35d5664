/*
** A pool's life, and what its owner asks of it.
*/
#include "pool/pool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/cpu.h"
#include "os/fd.h"
#include "os/mapping.h"
#include "os/process.h"
#include "pool/state.h"
#include "shared/arena.h"

/* ------------------------------------------------------------ making it */

int ccp_pool_leaked(const ccp_pool *p) {
  return p->leaked;
}

static char *copy_text(const char *s) {
  return s ? strdup(s) : NULL;
}

/* Room for as many workers as there may ever be; where as much again is not to
** be had for stacks and heaps, for those asked for and some being replaced. */
static ccp_board *make_board(const ccp_pool_config *c) {
  uint32_t some = c->max_workers + c->max_workers / 2 + 4;
  ccp_board *b = ccp_board_new(CCP_WORKERS_MOST, c->is_process);
  void *spare = b ? ccp_mapping_private(b->bytes) : NULL;
  if (spare) {
    ccp_mapping_free(spare, b->bytes);
  } else {
    ccp_board_free(b);
    b = ccp_board_new(some < CCP_WORKERS_MOST ? some : CCP_WORKERS_MOST,
                      c->is_process);
  }
  if (!b)
    return NULL;
  b->idle_ns = c->limits.idle_ns;
  b->tasks_most = c->limits.tasks_most;
  b->rss_growth = c->is_process ? c->limits.rss_growth : 0;
  return b;
}

static int make_plan(ccp_pool *p, const ccp_pool_config *c) {
  ccp_plan *plan = &p->plan;
  int cores = ccp_cpu_affinity();
  plan->is_process = c->is_process;
  plan->name = copy_text(c->name);
  plan->path = copy_text(c->path);
  plan->cpath = copy_text(c->cpath);
  plan->open_core = c->open_core;
  plan->finish = c->finish;
  plan->grace_ns = p->grace_ns;
  plan->memory_limit = c->memory_limit;
  plan->board = make_board(c);
  p->shelf = ccp_shelf_new();
  if (!plan->name || !plan->board || !p->shelf || (c->path && !plan->path) ||
      (c->cpath && !plan->cpath))
    return CCP_E_NOMEM;
  p->funcs.ud = p->shelf;
  p->funcs.put = ccp_shelf_put;
  p->funcs.get = ccp_shelf_get;
  p->funcs.uid = ccp_shelf_uid(p->shelf);
  p->funcs.elsewhere = c->is_process;
  plan->funcs = &p->funcs;
  plan->board->spin_most = (uint32_t)(cores - 1);
  atomic_store(&plan->board->pace_ns, UINT32_MAX);
  atomic_store(&plan->board->owner, c->owner);
  return CCP_OK;
}

static int make_descriptor(ccp_pool *p) {
  p->supervisor_fd = ccp_fd_event();
  if (p->supervisor_fd < 0)
    return CCP_E_SYS;
  p->plan.board->supervisor_fd = p->supervisor_fd;
  p->plan.pool = p;
  ccp_pools_add(p); /* nothing of its making fails from here on, but the last */
  return ccp_process_own_fd(p->supervisor_fd);
}

ccp_pool *ccp_pool_new(const ccp_pool_config *c, int *rc) {
  ccp_pool *p = calloc(1, sizeof *p);
  *rc = CCP_E_NOMEM;
  if (!p)
    return NULL;
  ccp_lock_init(&p->lock, CCP_RANK_POOL);
  p->supervisor_fd = p->zygote.fd = -1;
  p->poster.woken = CCP_NOBODY;
  p->epoch = ccp_process_epoch();
  p->owner = c->owner;
  p->max_workers = c->max_workers;
  p->limits = c->limits;
  p->alarm_ns = CCP_NEVER;
  p->grace_ns = (int64_t)(c->grace_s * (double)CCP_NS_PER_S);
  p->workers = calloc(CCP_WORKERS_MOST, sizeof *p->workers);
  if (!p->workers || (*rc = ccp_backlog_prepare(&p->backlog, 0)) != CCP_OK ||
      (*rc = make_plan(p, c)) != CCP_OK ||
      (*rc = make_descriptor(p)) != CCP_OK) {
    ccp_pool_free(p);
    return NULL;
  }
  return p;
}

const ccp_funcs *ccp_pool_funcs(const ccp_pool *p) {
  return &p->funcs;
}

static int copy_message(unsigned char **to, size_t *to_len, const void *message,
                        size_t len) {
  if (len == 0)
    return CCP_OK;
  *to = malloc(len);
  if (!*to)
    return CCP_E_NOMEM;
  memcpy(*to, message, len);
  *to_len = len;
  return CCP_OK;
}

int ccp_pool_set_finalizer(ccp_pool *p, const void *message, size_t len) {
  return copy_message(&p->plan.finalizer, &p->plan.finalizer_len, message, len);
}

int ccp_pool_start(ccp_pool *p, const void *prelude, size_t len,
                   struct lua_State *L) {
  int rc = copy_message(&p->plan.prelude, &p->plan.prelude_len, prelude, len);
  if (rc != CCP_OK)
    return rc;
  if (p->plan.is_process) {
    rc = ccp_zygote_start(&p->zygote, &p->plan, L, p->supervisor_fd);
    if (rc != CCP_OK)
      return rc;
    /* zygotes of other pools have no use for this board */
    ccp_mapping_hide(p->plan.board, p->plan.board->bytes);
  }
  rc = ccp_supervisor_start(p);
  if (rc == CCP_OK && p->limits.min_workers) {
    ccp_lock_acquire(&p->lock);
    ccp_pool_staff_locked(p, p->limits.min_workers);
    ccp_lock_release(&p->lock);
  }
  return rc;
}

int ccp_pool_is_ours(const ccp_pool *p) {
  return p->epoch == ccp_process_epoch();
}

/* ------------------------------------------------------------ ending it */

static void free_news(ccp_pool *p) {
  ccp_news *n = p->plan.board ? atomic_load(&p->plan.board->news) : NULL;
  while (n) {
    ccp_news *next = atomic_load(&n->next);
    ccp_arena_free(n);
    n = next;
  }
}

static void free_memory(ccp_pool *p) {
  ccp_pool_sweep_locked(p); /* nobody else is there any more */
  free_news(p);
  ccp_board_free(p->plan.board);
  ccp_shelf_free(p->shelf);
  free(p->plan.name);
  free(p->plan.path);
  free(p->plan.cpath);
  free(p->plan.prelude);
  free(p->plan.finalizer);
  ccp_bytes_free(&p->cause);
  ccp_bytes_free(&p->bad_news.why);
  ccp_backlog_fini(&p->backlog);
  ccp_deadlines_fini(&p->deadlines);
  free(p->workers);
  free(p);
}

/* A descendant has copies of the private memory only: shared memory,
** descriptors and workers are not its own. */
static void forget(ccp_pool *p) {
  (void)ccp_pools_drop(p);
  ccp_backlog_fini(&p->backlog);
  ccp_deadlines_fini(&p->deadlines);
  free(p->workers);
  free(p);
}

void ccp_pool_free(ccp_pool *p) {
  if (!p)
    return;
  if (!ccp_pool_is_ours(p)) {
    forget(p);
    return;
  }
  if (p->supervisor.started) {
    if (p->life != CCP_P_CLOSED)
      ccp_pool_kill(p, SIGKILL);
    (void)ccp_thread_join(&p->supervisor, CCP_NEVER); /* grace bounds it */
  }
  ccp_zygote_stop(&p->zygote);
  if (p->trace)
    (void)ccp_trace_close(p->trace);
  ccp_process_close_fd(p->leaked ? -1 : p->supervisor_fd);
  ccp_pool_unref(p);
}

/* Threads of other pools may still refer to it: it is closed, but there. */
void ccp_pool_unref(ccp_pool *p) {
  if (ccp_pools_drop(p) && !p->leaked)
    free_memory(p);
}

/* A pool that never started has nobody who would close it. */
static void call_supervisor(ccp_pool *p) {
  if (p->supervisor.started)
    ccp_fd_ring(p->supervisor_fd);
  else if (p->life != CCP_P_OPEN)
    atomic_store(&p->life, CCP_P_CLOSED);
}

void ccp_pool_shutdown(ccp_pool *p, int cancel) {
  ccp_lock_acquire(&p->lock);
  if (p->life == CCP_P_OPEN)
    atomic_store(&p->life, CCP_P_DRAINING);
  atomic_store(&p->plan.board->watch, 1);
  ccp_pool_drain_locked(p);
  if (cancel)
    ccp_pool_end_all_locked(p, 0, CCP_R_CANCELLED, NULL, 0);
  ccp_pool_fill_locked(p);
  ccp_lock_release(&p->lock);
  call_supervisor(p);
}

void ccp_pool_kill(ccp_pool *p, int sig) {
  ccp_lock_acquire(&p->lock);
  if (p->life == CCP_P_OPEN)
    atomic_store(&p->life, CCP_P_DRAINING);
  atomic_store(&p->plan.board->watch, 1);
  ccp_pool_drain_locked(p);
  p->kill_signal = sig;
  p->give_up_ns = ccp_clock_now_ns() + p->grace_ns;
  p->next_kill_ns = ccp_clock_now_ns() + (sig == SIGKILL ? 0 : p->grace_ns);
  if (!p->plan.is_process) /* say it again soon: it may be caught */
    p->next_kill_ns = ccp_clock_now_ns();
  ccp_pool_end_all_locked(p, 1, CCP_R_CANCELLED, NULL, 0);
  ccp_pool_signal_locked(p, sig);
  ccp_lock_release(&p->lock);
  call_supervisor(p);
}

enum ccp_pool_life ccp_pool_life_now(const ccp_pool *p) {
  return (enum ccp_pool_life)atomic_load_explicit(&p->life,
                                                  memory_order_seq_cst);
}

/* ------------------------------------------------------------ tasks */

int ccp_pool_spin_enter(ccp_pool *p) {
  return ccp_board_spin_enter(p->plan.board);
}

void ccp_pool_spin_leave(ccp_pool *p) {
  ccp_board_spin_leave(p->plan.board);
}

int ccp_pool_cancel(ccp_pool *p, ccp_task *t, const char *reason) {
  int cancelled;
  ccp_task *asked = t;
  ccp_lock_acquire(&p->lock);
  t = ccp_pool_target_locked(t);
  cancelled = t->state == CCP_T_FINISHED ? t->status == CCP_R_CANCELLED
                                         : ccp_pool_withdraw_locked(p, t);
  if (cancelled && t->state != CCP_T_FINISHED) {
    ccp_pool_end_locked(p, t, CCP_R_CANCELLED, reason, strlen(reason));
    ccp_pool_fill_locked(p); /* there is room on the board now */
  }
  ccp_lock_release(&p->lock);
  if (t != asked)
    ccp_bell_ring(p->owner); /* it may be the owner's: see list_locked */
  return cancelled;
}

int ccp_pool_cancel_running(ccp_pool *p, ccp_task *t, const char *reason) {
  int cancelled;
  ccp_task *asked = t;
  ccp_lock_acquire(&p->lock);
  t = ccp_pool_target_locked(t);
  if (t->state != CCP_T_FINISHED && ccp_pool_withdraw_locked(p, t)) {
    ccp_pool_end_locked(p, t, CCP_R_CANCELLED, reason, strlen(reason));
    ccp_pool_fill_locked(p);
  } else if (t->state != CCP_T_FINISHED)
    (void)ccp_pool_stop_locked(p, t, CCP_R_CANCELLED, reason);
  cancelled =
      asked->state == CCP_T_FINISHED && asked->status == CCP_R_CANCELLED;
  ccp_lock_release(&p->lock);
  if (t != asked)
    ccp_bell_ring(p->owner);
  return cancelled;
}

ccp_attempt *ccp_pool_attempts(ccp_pool *p, const ccp_task *t, size_t *n) {
  ccp_attempt *copy = NULL;
  *n = 0;
  ccp_lock_acquire(&p->lock);
  if (t->rules && t->rules->attempt_n)
    copy = malloc(t->rules->attempt_n * sizeof *copy);
  if (copy) {
    *n = t->rules->attempt_n;
    memcpy(copy, t->rules->attempt, *n * sizeof *copy);
  }
  ccp_lock_release(&p->lock);
  return copy;
}

int ccp_pool_has_room(ccp_pool *p) {
  int room;
  ccp_lock_acquire(&p->lock);
  room = p->life != CCP_P_OPEN || p->broken || !ccp_pool_full_locked(p, 1);
  ccp_lock_release(&p->lock);
  return room;
}

uint64_t ccp_pool_places(ccp_pool *p) {
  uint64_t n;
  ccp_lock_acquire(&p->lock);
  n = ccp_pool_places_locked(p);
  ccp_lock_release(&p->lock);
  return n;
}

void ccp_pool_cancel_chunk(ccp_pool *p, ccp_chunk *c) {
  ccp_lock_acquire(&p->lock);
  for (; c; c = c->segment) {
    ccp_pool_cut_chunk_locked(p, &c->task);
    c->task.owner = NULL;
  }
  ccp_pool_fill_locked(p); /* there is room on the board now */
  ccp_lock_release(&p->lock);
}

int ccp_pool_running(ccp_pool *p, ccp_task *t) {
  int running;
  ccp_lock_acquire(&p->lock);
  t = ccp_pool_origin_locked(t);
  running = t && t->state == CCP_T_POSTED &&
            ccp_board_look(p->plan.board, t->slot).state == CCP_CLAIMED;
  ccp_lock_release(&p->lock);
  return running;
}

void ccp_pool_watch_fd(ccp_pool *p, ccp_task *t, int fd) {
  ccp_lock_acquire(&p->lock);
  if (t->state == CCP_T_FINISHED)
    ccp_fd_ring(fd);
  else
    t->fd = fd;
  ccp_lock_release(&p->lock);
}

int ccp_pool_loop(ccp_pool *p, ccp_task *t) {
  int finished;
  ccp_lock_acquire(&p->lock);
  finished = t->state == CCP_T_FINISHED;
  t->looped = !finished;
  ccp_lock_release(&p->lock);
  return finished;
}

void ccp_pool_watch(ccp_pool *p, int delta) {
  ccp_lock_acquire(&p->lock);
  p->watchers += (uint32_t)delta;
  if (p->life == CCP_P_OPEN)
    atomic_store(&p->plan.board->watch, p->watchers > 0);
  ccp_lock_release(&p->lock);
  if (delta > 0) /* a reply may have come before anybody watched */
    call_supervisor(p);
}

ccp_chunk *ccp_pool_progress(ccp_pool *p, ccp_chunk *c) {
  ccp_chunk *segment;
  ccp_bytes_free(&c->reading);
  c->at = 0;
  ccp_lock_acquire(&p->lock);
  c->reading = c->replies;
  ccp_bytes_init(&c->replies);
  c->known = c->task.items;
  c->finished = c->task.state == CCP_T_FINISHED;
  segment = c->segment;
  ccp_lock_release(&p->lock);
  return segment;
}
