/*
** What an executor tells of itself. In the thread of the Lua state.
*/
#include "bind/lexecutor.h"

#include "os/clock.h"
#include "os/process.h"

static void set_count(lua_State *L, const char *name, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

static void push_worker(lua_State *L, const ccp_worker_info *w) {
  static const char *const states[] = {"none", "starting", "idle", "ended"};
  lua_createtable(L, 0, 8);
  set_count(L, "id", w->index + 1);
  set_count(L, "tasks", w->tasks);
  if (w->task && w->name[0]) {
    lua_pushstring(L, w->name);
    lua_setfield(L, -2, "task");
  } else if (w->task)
    set_count(L, "task", (uint64_t)w->task);
  if (w->pid) { /* a thread's is that of the program */
    set_count(L, "pid", (uint64_t)w->pid);
    set_count(L, "rss", (uint64_t)ccp_process_rss(w->pid));
  }
  lua_pushstring(L, w->task ? "busy" : states[w->state & 3]);
  lua_setfield(L, -2, "state");
  lua_pushnumber(L, (lua_Number)w->age_s);
  lua_setfield(L, -2, "age");
}

static void set_seconds(lua_State *L, const char *name, uint64_t ns) {
  lua_pushnumber(L, (lua_Number)ns / (lua_Number)CCP_NS_PER_S);
  lua_setfield(L, -2, name);
}

static void set_histogram(lua_State *L, const char *name,
                          const ccp_histogram *h) {
  uint64_t n = h->n;
  lua_createtable(L, 0, 7);
  set_count(L, "n", n);
  set_seconds(L, "mean", n ? h->sum_ns / n : 0);
  set_seconds(L, "min", h->min_ns);
  set_seconds(L, "max", h->max_ns);
  set_seconds(L, "p50", ccp_histogram_quantile(h, 0.5));
  set_seconds(L, "p90", ccp_histogram_quantile(h, 0.9));
  set_seconds(L, "p99", ccp_histogram_quantile(h, 0.99));
  lua_setfield(L, -2, name);
}

/* Stack: the table of stats. */
static void set_times(lua_State *L, const ccp_executor *ex) {
  ccp_histogram *h = lua_newuserdatauv(L, 2 * sizeof *h, 0);
  ccp_histogram_clear(&h[0]);
  ccp_histogram_clear(&h[1]);
  if (ex->handle)
    ccp_pool_times(ex->handle->pool, &h[0], &h[1]);
  lua_insert(L, -2);
  set_histogram(L, "wait", &h[0]);
  set_histogram(L, "run", &h[1]);
  lua_remove(L, -2);
}

/* stats(executor, is_process) -> table */
static int core_stats(lua_State *L) {
  ccp_executor *ex = ccp_executor_check(L, 1);
  ccp_pool_counts n = ex->inline_counts;
  uint32_t records = 0;
  lua_Integer k = 0;
  if (ex->handle) {
    records = ccp_pool_records(ex->handle->pool);
    ccp_pool_counts_now(ex->handle->pool, &n);
    n.submitted += ex->inline_counts.submitted; /* by the caller */
    n.done += ex->inline_counts.done;
    n.failed += ex->inline_counts.failed;
  }
  lua_createtable(L, 0, 14);
  set_count(L, "submitted", n.submitted);
  set_count(L, "queued", n.queued);
  set_count(L, "running", n.running);
  set_count(L, "done", n.done);
  set_count(L, "failed", n.failed);
  set_count(L, "cancelled", n.cancelled);
  set_count(L, "timeouts", n.timeouts);
  set_count(L, "retries", n.retries);
  set_count(L, "crashes", n.crashes);
  set_count(L, "recycled", n.recycled);
  set_count(L, "abandoned", n.abandoned);
  set_times(L, ex);
  lua_newtable(L);
  for (uint32_t i = 0; i < records; i++) {
    ccp_worker_info w;
    if (!ccp_pool_worker_now(ex->handle->pool, i, &w))
      continue;
    push_worker(L, &w);
    lua_rawseti(L, -2, ++k);
  }
  lua_setfield(L, -2, "workers");
  return 1;
}

void ccp_stats_function(lua_State *L) {
  lua_pushcfunction(L, core_stats);
  lua_setfield(L, -2, "stats");
}
