/*
** The directory of shared objects and of member processes. It lies in the
** arena, where the arena's root points; what this process counts for itself
** lies in 'mine', under the same mutex. Any thread of any process.
**
** Size: entries and members lie behind one mutex, and its repair sees to both.
*/
#include "shared/directory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/process.h"
#include "shared/arena.h"

enum {
  CHUNKS = 24,      /* of entries; each is twice the one before */
  CHUNK_FIRST = 64, /* entries in the first */
  HANDS = 16,       /* blocks a member may have in its hands */
  GONE_NS = 2000000000,
  LOOK_NS = 50000000 /* between two looks for the dead */
};

enum { FREE, ALIVE, DYING }; /* states of a place for a member */

typedef struct place {
  /* Written under the directory's mutex, read by any; the state goes last
  ** (release), so the others are those of a member that is ALIVE. */
  _Atomic uint32_t
      member; /* generation << 10 | number; changes with each use */
  _Atomic int32_t pid;
  _Atomic uint64_t started;
  _Atomic uint32_t state;
  _Atomic(_Atomic uint64_t *) hands[HANDS]; /* blocks; by their first words */
} place;

typedef struct directory {
  ccp_mutex mutex;
  uint64_t last_id;
  uint32_t end;            /* entries ever used */
  _Atomic uint32_t moving; /* see ccp_directory_moving; of one process */
  _Atomic int64_t looked_ns;
  _Atomic uint32_t places_end; /* places ever used */
  ccp_object **chunks[CHUNKS];
  place places[CCP_MEMBERS];
} directory;

typedef struct count {
  uint64_t id;
  uint32_t n;
} count;

static directory *dir; /* the same address in all processes */

/* Private to the process, under the directory's mutex. A child inherits it. */
static struct {
  count *counts; /* by index */
  uint32_t cap;
  uint32_t hint; /* where a free entry may be */
  uint64_t live; /* handles, as a bound */
} mine;
/* Both are read without the mutex: written by the thread that joins or forks
** (release), read by any (acquire). */
static _Atomic uint64_t me; /* epoch + 1 << 32 | member */
static _Atomic int64_t forked_ns;

/* ------------------------------------------------------------ entries */

static ccp_object **entry(uint32_t index) {
  uint32_t from = 0, n = CHUNK_FIRST;
  for (int c = 0; c < CHUNKS; c++, from += n, n *= 2)
    if (index - from < n) {
      ccp_object **chunk = dir->chunks[c];
      return chunk ? &chunk[index - from] : NULL;
    }
  return NULL;
}

ccp_object *ccp_directory_at(uint32_t index) {
  ccp_object **e = index < dir->end ? entry(index) : NULL;
  return e ? *e : NULL;
}

void ccp_directory_clear(uint32_t index) {
  *entry(index) = NULL;
  if (index < mine.hint)
    mine.hint = index;
}

uint32_t ccp_directory_end(void) {
  return dir->end;
}

static int grow(uint32_t index) {
  uint32_t from = 0, n = CHUNK_FIRST;
  for (int c = 0; c < CHUNKS; c++, from += n, n *= 2)
    if (index - from < n) {
      dir->chunks[c] = ccp_arena_alloc_zeroed(n * sizeof(ccp_object *));
      return dir->chunks[c] != NULL;
    }
  return 0;
}

/* Other processes free entries too, below this one's hint: it starts over when
** half of what there is might be free. */
static uint32_t free_index(void) {
  static uint32_t since; /* under the directory's mutex */
  if (++since > dir->end / 2 + 16)
    since = mine.hint = 0;
  while (mine.hint < dir->end && ccp_directory_at(mine.hint))
    mine.hint++;
  return mine.hint;
}

int ccp_directory_count_room(uint32_t index) {
  uint32_t cap = mine.cap ? mine.cap : 64;
  count *grown;
  if (index < mine.cap)
    return 1;
  while (cap <= index)
    cap *= 2;
  grown = realloc(mine.counts, cap * sizeof *grown);
  if (!grown)
    return 0;
  memset(grown + mine.cap, 0, (cap - mine.cap) * sizeof *grown);
  mine.counts = grown;
  mine.cap = cap;
  return 1;
}

/* An entry below 'end' is the object's from the store on; until then it was in
** the hands of this process. A death between the two loses it: were it in both,
** it might be freed twice. */
int ccp_directory_add(ccp_object *o) {
  uint32_t index = free_index();
  ccp_object_name name;
  if ((!entry(index) && !grow(index)) || !ccp_directory_count_room(index))
    return 0;
  o->index = index;
  atomic_store(&o->id, ++dir->last_id);
  ccp_hand_drop(o);
  name = (ccp_object_name){atomic_load(&o->id), index};
  if (index == dir->end)
    dir->end++;
  *entry(index) = o;
  return ccp_directory_count(name, 1) == 1;
}

long ccp_directory_count(ccp_object_name name, int by) {
  count *c;
  if (by > 0 && !ccp_directory_count_room(name.index))
    return -1;
  if (name.index >= mine.cap)
    return -1;
  c = &mine.counts[name.index];
  if (by > 0 && c->id != name.id)
    *c = (count){name.id, 0};
  if (c->id != name.id || (by < 0 && c->n == 0))
    return -1;
  c->n += (uint32_t)by;
  mine.live += (uint64_t)(int64_t)by;
  return (long)c->n;
}

/* A compiler must not move what is done in between. */
void ccp_directory_moving(int on) {
  atomic_store(&dir->moving, (uint32_t)on);
}

int ccp_directory_forked_since(int64_t then_ns) {
  int64_t at = atomic_load(&forked_ns);
  return at >= then_ns && ccp_clock_now_ns() - at < GONE_NS;
}

/* ------------------------------------------------------------ members */

/* The state is set to DYING first: who dies in here leaves it to the repair. A
** block is noted as linked before it belongs to somebody else. */
static void bury_locked(place *p, int patient) {
  atomic_store(&p->state, DYING);
  if (!ccp_object_bury_locked(p->member, patient)) {
    atomic_store(&p->state, ALIVE); /* and found dead again, by who waits */
    return;
  }
  for (int i = 0; i < HANDS; i++) {
    _Atomic uint64_t *block = atomic_exchange(&p->hands[i], NULL);
    if (block && ccp_arena_valid(block, sizeof *block) &&
        atomic_load(block) == 0)
      ccp_arena_free(ccp_arena_own((const void *)(uintptr_t)block));
  }
  atomic_store(&p->state, FREE);
}

/* The sweep frees what was being freed, and has to know what is kept. */
static void repair(void) {
  uint32_t end = atomic_load(&dir->places_end);
  if (atomic_load(&dir->moving)) {
    ccp_keeping_recount_locked();
    ccp_directory_moving(0);
  }
  ccp_object_sweep_locked();
  for (uint32_t i = 0; i < end; i++)
    if (atomic_load(&dir->places[i].state) == DYING)
      bury_locked(&dir->places[i], 1);
}

static void lock(void) {
  if (ccp_mutex_lock(&dir->mutex))
    repair();
}

static int alive(const place *p) {
  uint64_t started;
  if ((uint32_t)atomic_load(&me) == p->member)
    return 1;
  started = ccp_process_started(p->pid);
  return started != 0 &&
         (started == 1 || p->started == 1 || started == p->started);
}

/* Each place is judged without the mutex, which would hold up everybody, and
** looked at again with it. */
static void look_for_dead(void) {
  uint32_t end = atomic_load(&dir->places_end);
  for (uint32_t i = 0; i < end; i++) {
    place *p = &dir->places[i];
    if (atomic_load(&p->state) != ALIVE || alive(p))
      continue;
    lock();
    if (atomic_load(&p->state) == ALIVE && !alive(p))
      bury_locked(p, 1);
    ccp_mutex_unlock(&dir->mutex);
  }
}

void ccp_object_reap(void) {
  int64_t now = ccp_clock_now_ns(), last;
  if (!dir)
    return;
  last = atomic_load(&dir->looked_ns);
  if (now - last >= LOOK_NS &&
      atomic_compare_exchange_strong(&dir->looked_ns, &last, now))
    look_for_dead();
}

void ccp_object_reap_now(void) {
  if (dir)
    look_for_dead();
}

/* The state goes last: until then the place is nobody's. */
static uint32_t join_locked(void) {
  for (uint32_t i = 0; i < CCP_MEMBERS; i++) {
    place *p = &dir->places[i];
    if (atomic_load(&p->state) != FREE)
      continue;
    uint32_t generation = (p->member >> 10) + 1;
    p->member = ((generation << 10 ? generation : 1) << 10) | i;
    p->pid = getpid();
    p->started = ccp_process_started(getpid());
    if (i >= atomic_load(&dir->places_end))
      atomic_store(&dir->places_end, i + 1);
    atomic_store(&p->state, ALIVE);
    return p->member;
  }
  return 0;
}

/* Under the mutex, which is given up for a while if all places are taken, maybe
** by the dead. */
static uint32_t join(void) {
  uint32_t member = join_locked();
  if (member)
    return member;
  ccp_mutex_unlock(&dir->mutex);
  look_for_dead();
  lock();
  return join_locked();
}

static uint32_t remember(uint32_t member) {
  if (member)
    atomic_store_explicit(&me,
                          (((uint64_t)ccp_process_epoch() + 1) << 32) | member,
                          memory_order_release);
  return member;
}

static void open_directory(void) {
  _Atomic(void *) *root;
  directory *fresh;
  void *none = NULL;
  if (ccp_arena_open() != CCP_OK)
    return;
  root = ccp_arena_root();
  if (!atomic_load(root)) {
    fresh = ccp_arena_alloc_zeroed(sizeof *fresh);
    if (!fresh || ccp_mutex_init(&fresh->mutex) != CCP_OK)
      return;
    if (!atomic_compare_exchange_strong(root, &none, fresh))
      ccp_arena_free(fresh);
  }
  dir = atomic_load(root);
}

/* ------------------------------------------------------------ forking */

static void before_fork(void) {
  if (!dir)
    return;
  lock();
  atomic_store(&forked_ns, ccp_clock_now_ns());
}

static void after_fork_parent(void) {
  if (dir)
    ccp_mutex_unlock(&dir->mutex);
}

/* The mutex is the parent's here, who gives it up in a moment. What the parent
** has, the child has too. */
static void after_fork_child(void) {
  uint32_t member;
  atomic_store(&forked_ns, 0);
  if (!dir || mine.live == 0)
    return;
  lock();
  member = remember(join());
  for (uint32_t i = 0; member && i < mine.cap; i++) {
    int ok;
    if (mine.counts[i].n == 0)
      continue;
    ccp_object_adopt_locked((ccp_object_name){mine.counts[i].id, i}, member,
                            &ok);
    if (!ok)
      mine.counts[i].n = 0;
  }
  ccp_mutex_unlock(&dir->mutex);
}

static void begin(void) {
  if (ccp_process_watch_forks() != CCP_OK ||
      pthread_atfork(before_fork, after_fork_parent, after_fork_child) != 0)
    return;
  open_directory();
}

/* Once per program, in whichever process comes first: later ones inherit it, or
** find it at the arena's root. */
static int ready(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, begin);
  return dir != NULL;
}

static int is_of(const place *p, int32_t pid) {
  return atomic_load(&p->state) == ALIVE && p->pid == pid && !alive(p);
}

void ccp_object_reap_process(int32_t pid) {
  if (ccp_arena_open() != CCP_OK || !atomic_load(ccp_arena_root()) || !ready())
    return;
  for (uint32_t i = 0; i < atomic_load(&dir->places_end); i++) {
    place *p = &dir->places[i];
    int rc = is_of(p, pid) ? ccp_mutex_try(&dir->mutex) : -1;
    if (rc < 0)
      continue;
    if (rc == 1)
      repair();
    if (is_of(p, pid))
      bury_locked(p, 0);
    ccp_mutex_unlock(&dir->mutex);
  }
}

uint32_t ccp_member_me(void) {
  uint64_t seen = atomic_load_explicit(&me, memory_order_acquire);
  uint32_t member;
  if (seen >> 32 == (uint64_t)ccp_process_epoch() + 1)
    return (uint32_t)seen;
  if (!ready())
    return 0;
  ccp_object_reap();
  lock();
  seen = atomic_load_explicit(&me, memory_order_acquire);
  if (seen >> 32 == (uint64_t)ccp_process_epoch() + 1)
    member = (uint32_t)seen; /* another thread was faster */
  else
    member = remember(join());
  ccp_mutex_unlock(&dir->mutex);
  return member;
}

int ccp_member_known(uint32_t member) {
  const place *p = &dir->places[ccp_member_slot(member)];
  return ccp_member_slot(member) < CCP_MEMBERS &&
         atomic_load(&p->state) != FREE && p->member == member;
}

int ccp_directory_lock(void) {
  if (!ready())
    return 0;
  lock();
  return 1;
}

void ccp_directory_unlock(void) {
  ccp_mutex_unlock(&dir->mutex);
}

/* ------------------------------------------------------------ hands */

static place *my_place(void) {
  uint32_t member = ccp_member_me();
  return member ? &dir->places[ccp_member_slot(member)] : NULL;
}

void ccp_hand_hold(void *block) {
  place *p = my_place();
  atomic_store((_Atomic uint64_t *)block, 0);
  for (int i = 0; p && i < HANDS; i++) {
    _Atomic uint64_t *none = NULL;
    if (atomic_compare_exchange_strong(&p->hands[i], &none, block))
      return;
  }
}

void ccp_hand_drop(void *block) {
  place *p = my_place();
  for (int i = 0; p && i < HANDS; i++) {
    _Atomic uint64_t *mine_ = block;
    if (atomic_compare_exchange_strong(&p->hands[i], &mine_, NULL))
      return;
  }
}

void ccp_object_stats(uint32_t *objects, uint32_t *members) {
  *objects = *members = 0;
  if (!ccp_directory_lock())
    return;
  for (uint32_t i = 0; i < dir->end; i++)
    *objects += ccp_directory_at(i) != NULL;
  for (uint32_t i = 0; i < CCP_MEMBERS; i++)
    *members += atomic_load(&dir->places[i].state) == ALIVE;
  ccp_mutex_unlock(&dir->mutex);
}
