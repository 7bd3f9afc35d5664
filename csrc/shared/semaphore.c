/*
** Semaphores. Each change is one store to 'held' or 'total', from which 'free'
** follows. Any thread of any process.
*/
#include "shared/semaphore.h"

#include "os/codes.h"

static ccp_semaphore *of(ccp_object *o) {
  return (ccp_semaphore *)(void *)o;
}

static void count_free(ccp_semaphore *s) {
  uint64_t held = 0;
  for (int i = 0; i < CCP_MEMBERS; i++)
    held += s->held[i];
  s->free = s->total > held ? s->total - held : 0;
}

static void semaphore_repair(ccp_object *o) {
  count_free(of(o));
}

static void semaphore_left(ccp_object *o, uint32_t member, int died) {
  ccp_semaphore *s = of(o);
  uint32_t slot = ccp_member_slot(member);
  if (!died || s->held[slot] == 0)
    return;
  s->held[slot] = 0;
  count_free(s);
  ccp_sleepers_wake(&s->sleepers, ccp_sleepers_call(&s->sleepers, UINT32_MAX));
}

static void semaphore_fini(ccp_object *o) {
  (void)o;
}

const ccp_object_ops ccp_semaphore_ops = {semaphore_repair, semaphore_left,
                                          semaphore_fini, NULL};

ccp_semaphore *ccp_semaphore_new(uint64_t n, int bounded) {
  ccp_semaphore *s = ccp_object_new(CCP_K_SEMAPHORE, sizeof *s);
  if (!s)
    return NULL;
  s->total = s->free = n;
  s->limit = bounded ? n : 0;
  return s;
}

int ccp_semaphore_acquire(ccp_semaphore *s, uint32_t member,
                          int64_t deadline_ns) {
  int rc = CCP_OK, got;
  ccp_object_lock(&s->object);
  while (s->free == 0 && rc == CCP_OK)
    rc = ccp_sleep(&s->object, &s->sleepers, deadline_ns);
  got = s->free > 0;
  if (got) {
    s->held[ccp_member_slot(member)]++;
    s->free--;
  }
  ccp_object_unlock(&s->object);
  return got ? CCP_OK : rc;
}

/* A member that has none releases for another one, if anybody has some: where
** one acquires and the other releases, a death of the first must not give back
** again what the second has given back already. */
static uint32_t *whose(ccp_semaphore *s, uint32_t member) {
  uint32_t *most = &s->held[ccp_member_slot(member)];
  if (*most > 0)
    return most;
  for (int i = 0; i < CCP_MEMBERS; i++)
    if (s->held[i] > *most)
      most = &s->held[i];
  return *most > 0 ? most : NULL;
}

int ccp_semaphore_release(ccp_semaphore *s, uint32_t member, uint32_t n) {
  uint32_t wake = 0;
  int ok;
  ccp_object_lock(&s->object);
  ok = s->limit == 0 || s->free + n <= s->limit;
  for (uint32_t i = 0; ok && i < n; i++) {
    uint32_t *from = whose(s, member);
    if (from)
      --*from;
    else {
      s->total += n - i;
      s->free += n - i;
      break;
    }
    s->free++;
  }
  if (ok)
    wake = ccp_sleepers_call(&s->sleepers, n);
  ccp_object_unlock(&s->object);
  ccp_sleepers_wake(&s->sleepers, wake);
  return ok ? CCP_OK : CCP_E_FULL;
}

uint64_t ccp_semaphore_free(ccp_semaphore *s) {
  uint64_t n;
  ccp_object_lock(&s->object);
  n = s->free;
  ccp_object_unlock(&s->object);
  return n;
}
