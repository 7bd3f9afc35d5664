/*
** Tests of task/replies.h: the ring's arithmetic, its handshake when full, and
** what a worker that went mad may write into it.
*/
#include "task/replies.h"

#include <string.h>

#include "check.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/fd.h"
#include "os/thread.h"
#include "shared/arena.h"
#include "worker/loop.h"

enum { HEAD = 12, UNIT = 16 }; /* of a record: its head, what it is padded to */

static unsigned char bytes[CCP_REPLY_BYTES + 1];

static ccp_board *open_board(void) {
  ccp_board *b = ccp_board_new(2, 0);
  if (!CHECK(b != NULL))
    exit(EXIT_FAILURE);
  atomic_store(&b->high, 2);
  return b;
}

static size_t padded(size_t len) {
  return (HEAD + len + UNIT - 1) / UNIT * UNIT;
}

/* Both workers' rings are used in turn, so that neither spills into the other.
 */
static void put(ccp_board *b, uint32_t w, uint16_t n, size_t len) {
  ccp_reply r = {(uint16_t)(n % 1000),
                 n,
                 (uint16_t)(n ^ 0x5555),
                 CCP_R_ERROR,
                 0,
                 bytes,
                 len};
  memset(bytes, n & 0xff, len);
  ccp_replies_put(b, w, &r);
}

static int same(const ccp_reply *r, uint16_t n, size_t len) {
  const unsigned char *p = r->bytes;
  if (r->slot != n % 1000 || r->item != n || r->lap != (n ^ 0x5555) ||
      r->status != CCP_R_ERROR || r->is_block || r->len != len)
    return 0;
  for (size_t i = 0; i < len; i++)
    if (p[i] != (n & 0xff))
      return 0;
  return 1;
}

static int within(const ccp_board *b, uint32_t w, const ccp_reply *r) {
  const unsigned char *ring = b->rings + (size_t)w * CCP_RING_BYTES;
  const unsigned char *p = r->bytes;
  if (r->is_block)
    return ccp_arena_valid(r->bytes, r->len);
  return p >= ring && p <= ring + CCP_RING_BYTES &&
         r->len <= (size_t)(ring + CCP_RING_BYTES - p);
}

/* ------------------------------------------------------------ one by one */

static void what_is_put_comes_out(void) {
  const size_t lens[] = {0, 1, 3, 4, 5, 19, 20, 21, 1000, CCP_REPLY_BYTES};
  const int n = sizeof lens / sizeof *lens;
  ccp_board *b = open_board();
  ccp_reader at = {0, 0};
  ccp_reply r;
  CHECK(!ccp_replies_any(b, 0) && !ccp_replies_any(b, 1));
  CHECK(ccp_replies_next(b, 0, &at, &r) == CCP_E_FULL);
  for (int i = 0; i < n; i++)
    put(b, 0, (uint16_t)i, lens[i]);
  CHECK(ccp_replies_any(b, 0) && !ccp_replies_any(b, 1));
  for (int i = 0; i < n; i++)
    CHECK(ccp_replies_next(b, 0, &at, &r) == CCP_OK &&
          same(&r, (uint16_t)i, lens[i]));
  CHECK(ccp_replies_next(b, 0, &at, &r) == CCP_E_FULL);
  CHECK(ccp_replies_any(b, 0)); /* read, but not given back */
  ccp_replies_done(b, 0, &at);
  CHECK(!ccp_replies_any(b, 0));
  ccp_board_free(b);
}

/* Every length at every place near the ring's end: records wrap whole. */
static void records_never_wrap(void) {
  ccp_board *b = open_board();
  ccp_reader at = {0, 0};
  ccp_reply r;
  uint32_t right = 0, n = 0;
  for (size_t len = 0; len < 70; len += 3)
    for (size_t left = UNIT; left <= 96; left += UNIT, n++) {
      uint64_t end = (at.tail / CCP_RING_BYTES + 1) * CCP_RING_BYTES - left;
      atomic_store(&b->records[1].head, end);
      atomic_store(&b->records[1].tail, end);
      at.head = at.tail = end;
      put(b, 1, (uint16_t)n, len);
      put(b, 1, (uint16_t)(n + 1), 7);
      right += ccp_replies_next(b, 1, &at, &r) == CCP_OK &&
               same(&r, (uint16_t)n, len) && within(b, 1, &r);
      right += ccp_replies_next(b, 1, &at, &r) == CCP_OK &&
               same(&r, (uint16_t)(n + 1), 7) && within(b, 1, &r);
      ccp_replies_done(b, 1, &at);
    }
  CHECK(right == 2 * n && !ccp_replies_any(b, 1));
  ccp_board_free(b);
}

static void ring_fills_to_the_last_byte(void) {
  const size_t len = 1024 - HEAD; /* 256 of these are the ring */
  ccp_board *b = open_board();
  ccp_reader at = {0, 0};
  ccp_reply r;
  uint16_t n = 0;
  for (; ccp_replies_room(b, 0, len); n++) {
    CHECK(ccp_replies_half(b, 0) == (n >= 128));
    put(b, 0, n, len);
  }
  CHECK(n == CCP_RING_BYTES / 1024 && !ccp_replies_room(b, 0, 0));
  for (uint16_t i = 0; i < n; i++)
    CHECK(ccp_replies_next(b, 0, &at, &r) == CCP_OK && same(&r, i, len));
  CHECK(!ccp_replies_room(b, 0, 0)); /* the reader still uses it */
  ccp_replies_done(b, 0, &at);
  CHECK(ccp_replies_room(b, 0, CCP_REPLY_BYTES) && !ccp_replies_half(b, 0));
  CHECK(ccp_replies_next(b, 0, &at, &r) == CCP_E_FULL);
  ccp_board_free(b);
}

/* An empty ring has room for the longest reply, wherever it begins; what it
** says there is room for does not touch what is unread. */
static void room_is_what_it_says(void) {
  ccp_board *b = open_board();
  uint32_t seed = 1, puts = 0, reads = 0;
  size_t lens[20000];
  ccp_reader at = {0, 0};
  ccp_reply r;
  for (uint64_t start = 0; start < CCP_RING_BYTES; start += UNIT) {
    atomic_store(&b->records[0].head, start);
    atomic_store(&b->records[0].tail, start);
    if (!CHECK(ccp_replies_room(b, 0, CCP_REPLY_BYTES)))
      break;
  }
  atomic_store(&b->records[0].head, 0);
  atomic_store(&b->records[0].tail, 0);
  while (puts < 20000) {
    size_t len;
    seed = seed * 1664525 + 1013904223;
    len = (seed >> 8) % (seed % 7 ? 100 : CCP_REPLY_BYTES + 1);
    if (!ccp_replies_room(b, 0, len) || seed % 31 == 0) {
      for (uint32_t k = seed >> 16 & 63; k > 0 && reads < puts; k--, reads++)
        if (!CHECK(ccp_replies_next(b, 0, &at, &r) == CCP_OK &&
                   same(&r, (uint16_t)reads, lens[reads]) && within(b, 0, &r)))
          exit(check_tally());
      ccp_replies_done(b, 0, &at);
    } else {
      lens[puts] = len;
      put(b, 0, (uint16_t)puts, len);
      puts++;
    }
  }
  ccp_board_free(b);
}

static void long_replies_lie_in_blocks(void) {
  ccp_board *b = open_board();
  ccp_reader at = {0, 0};
  size_t len = 5 * CCP_REPLY_BYTES;
  unsigned char *block = ccp_arena_alloc(len, NULL);
  ccp_reply in = {1, 2, 3, CCP_R_VALUES, 1, block, len}, r;
  CHECK(block != NULL);
  block[len - 1] = 0x77;
  ccp_replies_put(b, 0, &in);
  CHECK(ccp_replies_next(b, 0, &at, &r) == CCP_OK && r.is_block);
  CHECK(r.bytes == block && r.len == len && r.slot == 1 && r.item == 2);
  CHECK(ccp_arena_own(r.bytes) == block && block[len - 1] == 0x77);
  ccp_replies_put(b, 0, &in);
  ccp_arena_free(block);
  CHECK(ccp_replies_next(b, 0, &at, &r) == CCP_E_BADDATA);
  ccp_board_free(b);
}

/* ------------------------------------------------------------ mad workers */

static void head_out_of_reach_is_refused(void) {
  const uint64_t heads[] = {1,
                            8,
                            CCP_RING_BYTES + UNIT,
                            UINT64_MAX,
                            UINT64_MAX - UNIT + 1,
                            (uint64_t)1 << 63};
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    ccp_board *b = open_board();
    ccp_reader at = {0, 0};
    ccp_reply r;
    atomic_store(&b->records[0].head, heads[i]);
    CHECK(ccp_replies_next(b, 0, &at, &r) == CCP_E_BADDATA);
    ccp_board_free(b);
  }
}

static uint32_t random_word(uint32_t *seed) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 17;
  *seed ^= *seed << 5;
  return *seed;
}

/* Random bytes, with heads of records among them that are mostly right, so
** that reading gets somewhere. */
static void scribble(unsigned char *ring, uint32_t start, uint32_t *seed) {
  uint32_t size;
  for (uint32_t i = 0; i < CCP_RING_BYTES; i += 4) {
    uint32_t w = random_word(seed);
    memcpy(ring + i, &w, 4);
  }
  for (uint32_t at = start; at + UNIT <= CCP_RING_BYTES;
       at += (uint32_t)padded(size)) {
    size = random_word(seed) % 400;
    memcpy(ring + at, &size, 4);
    if (random_word(seed) % 32 == 0)
      ring[at + 2] = 0x55; /* longer than the ring */
    if (random_word(seed) % 32)
      ring[at + HEAD - 1] = random_word(seed) % 8 ? 0 : 2; /* its kind */
  }
}

static void random_bytes_never_lead_outside(void) {
  ccp_board *b = open_board();
  uint32_t seed = 0xc0ffee, good = 0, bad = 0, outside = 0;
  for (int round = 0; round < 400; round++) {
    uint64_t start = random_word(&seed) % CCP_RING_BYTES / UNIT * UNIT;
    ccp_reader at = {start, start};
    ccp_reply r;
    uint32_t left;
    int rc;
    scribble(b->rings, (uint32_t)start, &seed);
    atomic_store(&b->records[0].tail, start);
    left = random_word(&seed) % (CCP_RING_BYTES + 4 * UNIT);
    if (round % 4)
      left = left / UNIT * UNIT;
    atomic_store(&b->records[0].head, start + left);
    while ((rc = ccp_replies_next(b, 0, &at, &r)) == CCP_OK) {
      good++;
      outside += !within(b, 0, &r);
    }
    bad += rc == CCP_E_BADDATA;
    if (!CHECK(rc == CCP_E_BADDATA || rc == CCP_E_FULL))
      break;
  }
  CHECK(outside == 0 && good > 2000 && bad > 100);
  ccp_board_free(b);
}

static void block_that_is_none_is_refused(void) {
  unsigned char *block = ccp_arena_alloc(1000, NULL);
  const struct {
    const void *p;
    size_t len;
  } wild[] = {{NULL, 0},       {bytes, 1},        {block + 1, 1},
              {block + 64, 1}, {block, SIZE_MAX}, {block, 1 << 20},
              {block - 64, 1}, {&wild, 8},        {(void *)-64, 64}};
  for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
    ccp_board *b = open_board();
    ccp_reader at = {0, 0};
    ccp_reply in = {0, 0, 0, 0, 1, wild[i].p, wild[i].len}, r;
    memset(block, 0, 1000);
    ccp_replies_put(b, 0, &in);
    CHECK(ccp_replies_next(b, 0, &at, &r) == CCP_E_BADDATA);
    ccp_board_free(b);
  }
  ccp_arena_free(block);
}

/* ------------------------------------------------------------ two threads */

enum { STREAM = 30000 };

static size_t stream_len(uint32_t n) {
  uint32_t r = n * 2654435761u >> 7;
  return r % 41 == 0 ? CCP_REPLY_BYTES - r % 9 : r % 200;
}

/* The worker's own way of writing: it sleeps while the ring is full. */
static void writer(void *arg) {
  static unsigned char mine[CCP_REPLY_BYTES];
  ccp_board *b = arg;
  ccp_loop l;
  ccp_loop_init(&l, b, 0);
  for (uint32_t n = 0; n < STREAM; n++) {
    l.claim.slot = n % CCP_WINDOW;
    l.claim.item = (uint16_t)n;
    memset(mine, (int)(n & 0xff), stream_len(n));
    ccp_loop_reply(&l, CCP_R_VALUES, mine, stream_len(n), NULL);
  }
}

static int right(const ccp_reply *r, uint32_t n) {
  const unsigned char *p = r->bytes;
  size_t len = stream_len(n);
  return r->slot == n % CCP_WINDOW && r->item == (uint16_t)n && r->len == len &&
         (len == 0 || (p[0] == (n & 0xff) && p[len - 1] == (n & 0xff) &&
                       p[len / 2] == (n & 0xff)));
}

/* The owner is away and the supervisor does not look in, so only 'full' and
** the bell make the writer go on. */
static void full_ring_makes_its_writer_wait(void) {
  ccp_board *b = open_board();
  ccp_bell bell = {0};
  ccp_thread t = {0};
  ccp_reader at = {0, 0};
  ccp_reply r;
  uint32_t n = 0, waits = 0;
  b->supervisor_fd = ccp_fd_event();
  atomic_store(&b->owner, &bell);
  CHECK(ccp_thread_start(&t, writer, b, 0) == CCP_OK);
  while (n < STREAM) {
    if (n % 97 == 0) { /* let it fill: at first it must */
      int64_t until = n > 0 ? ccp_clock_now_ns() + 100000 : CCP_NEVER;
      while (ccp_clock_now_ns() < until && !atomic_load(&b->records[0].full))
        ccp_clock_pause();
      waits += atomic_load(&b->records[0].full) != 0;
    }
    for (int k = 0;
         k < 97 && n < STREAM && ccp_replies_next(b, 0, &at, &r) == CCP_OK;
         k++, n++)
      if (!CHECK(right(&r, n)))
        exit(check_tally());
    ccp_replies_done(b, 0, &at);
  }
  CHECK(ccp_thread_join(&t, CCP_NEVER) == CCP_OK);
  CHECK(waits > 0 && ccp_replies_next(b, 0, &at, &r) == CCP_E_FULL);
  ccp_fd_close(b->supervisor_fd);
  ccp_board_free(b);
}

int main(void) {
  if (ccp_arena_open() != CCP_OK)
    return EXIT_FAILURE;
  RUN(what_is_put_comes_out);
  RUN(records_never_wrap);
  RUN(ring_fills_to_the_last_byte);
  RUN(room_is_what_it_says);
  RUN(long_replies_lie_in_blocks);
  RUN(head_out_of_reach_is_refused);
  RUN(random_bytes_never_lead_outside);
  RUN(block_that_is_none_is_refused);
  RUN(full_ring_makes_its_writer_wait);
  return check_tally();
}
