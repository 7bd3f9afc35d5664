/*
** Tests of task/bytes.h, task/task.h and task/store.h. One thread.
*/
#include "task/task.h"

#include <string.h>

#include "check.h"
#include "os/codes.h"
#include "shared/arena.h"
#include "task/store.h"

/* ------------------------------------------------------------ bytes */

static void few_bytes_need_no_memory(void) {
  ccp_bytes b;
  ccp_bytes_init(&b);
  CHECK(b.len == 0 && !ccp_bytes_is_block(&b));
  CHECK(ccp_bytes_set(&b, NULL, 0) == CCP_OK && b.len == 0);
  CHECK(ccp_bytes_set(&b, "0123456789012345678901234567890123456789",
                      CCP_TASK_BYTES) == CCP_OK);
  CHECK(b.cap == 0 && ccp_bytes_at(&b) == b.at.local);
  CHECK(ccp_bytes_set(&b, "abc", 3) == CCP_OK && b.len == 3);
  CHECK(memcmp(ccp_bytes_at(&b), "abc", 3) == 0);
  ccp_bytes_free(&b);
  ccp_bytes_free(&b);
  CHECK(b.len == 0 && b.cap == 0);
}

static void bytes_are_added_in_order(void) {
  ccp_bytes b;
  uint32_t wrong = 0, n = 0;
  ccp_bytes_init(&b);
  for (uint32_t step = 1; step < 90; step++)
    for (uint32_t i = 0; i < step; i++, n++) {
      unsigned char two[2] = {(unsigned char)n, (unsigned char)(n >> 8)};
      wrong += ccp_bytes_add(&b, two, 2) != CCP_OK;
    }
  CHECK(wrong == 0 && b.len == 2 * n && b.cap >= b.len);
  for (uint32_t i = 0; i < n; i++)
    wrong += ccp_bytes_at(&b)[2 * i] != (unsigned char)i ||
             ccp_bytes_at(&b)[2 * i + 1] != (unsigned char)(i >> 8);
  CHECK(wrong == 0);
  CHECK(ccp_bytes_add(&b, NULL, 0) == CCP_OK && b.len == 2 * n);
  CHECK(ccp_bytes_set(&b, "x", 1) == CCP_OK && b.len == 1);
  ccp_bytes_free(&b);
}

static void extending_keeps_what_was_there(void) {
  for (size_t first = 0; first <= CCP_TASK_BYTES; first += 8)
    for (size_t more = 0; more < 200; more += 13) {
      ccp_bytes b;
      unsigned char *to;
      int kept = 1;
      ccp_bytes_init(&b);
      to = ccp_bytes_extend(&b, first);
      CHECK(to != NULL);
      memset(to, 0x11, first);
      to = ccp_bytes_extend(&b, more);
      if (!CHECK(to == ccp_bytes_at(&b) + first && b.len == first + more))
        return;
      memset(to, 0x22, more);
      for (size_t i = 0; i < first; i++)
        kept &= ccp_bytes_at(&b)[i] == 0x11;
      CHECK(kept);
      ccp_bytes_free(&b);
    }
}

static void block_is_taken_over(void) {
  unsigned char *block = ccp_arena_alloc(1000, NULL);
  ccp_bytes b;
  ccp_bytes_init(&b);
  CHECK(ccp_bytes_set(&b, "something that is longer than forty bytes is far",
                      48) == CCP_OK);
  ccp_bytes_adopt(&b, block, 1000);
  CHECK(ccp_bytes_is_block(&b) && b.len == 1000 && ccp_bytes_at(&b) == block);
  CHECK(ccp_bytes_set(&b, "abc", 3) == CCP_OK && !ccp_bytes_is_block(&b));
  CHECK(!ccp_arena_valid(block, 0)); /* given back */
  block = ccp_arena_alloc(1000, NULL);
  ccp_bytes_adopt(&b, block, 7);
  ccp_bytes_free(&b);
  CHECK(!ccp_arena_valid(block, 0) && b.len == 0);
}

/* ------------------------------------------------------------ chunks */

static void put_message(ccp_bytes *b, uint32_t n, uint32_t len) {
  unsigned char *to;
  CHECK(ccp_bytes_add(b, &len, sizeof len) == CCP_OK);
  to = ccp_bytes_extend(b, len);
  if (to)
    memset(to, (int)n, len);
}

/* A body of n items; item i is len(i) bytes of value i. */
static void make_body(ccp_bytes *b, uint32_t n, uint32_t each) {
  const unsigned char kind = CCP_BODY_CHUNK;
  ccp_bytes_init(b);
  CHECK(ccp_bytes_add(b, &kind, 1) == CCP_OK);
  put_message(b, 0xf0, 11);
  for (uint32_t i = 0; i < n; i++)
    put_message(b, i, each + i * 3 % 17);
}

/* Reads the next message; its value, or -1 at the end. */
static int next_message(const ccp_bytes *b, size_t *at, uint32_t *len) {
  const unsigned char *p = ccp_bytes_at(b);
  int value = -2;
  if (*at == b->len)
    return -1;
  memcpy(len, p + *at, sizeof *len);
  *at += sizeof *len;
  if (!CHECK(*len <= b->len - *at))
    return -1;
  for (uint32_t i = 0; i < *len; i++)
    value = i == 0 || value == p[*at + i] ? p[*at + i] : -3;
  *at += *len;
  return value;
}

static void part_of_a_body_has_its_items(void) {
  enum { N = 9 };
  ccp_bytes body, part;
  make_body(&body, N, 1);
  for (uint32_t from = 0; from <= N; from++)
    for (uint32_t to = from; to <= N; to++) {
      size_t at = 1;
      uint32_t len;
      CHECK(ccp_chunk_body_part(&body, from, to, &part) == CCP_OK);
      CHECK(ccp_bytes_at(&part)[0] == CCP_BODY_CHUNK);
      CHECK(next_message(&part, &at, &len) == 0xf0 && len == 11);
      for (uint32_t i = from; i < to; i++)
        CHECK(next_message(&part, &at, &len) == (int)i &&
              len == 1 + i * 3 % 17);
      CHECK(at == part.len);
      ccp_bytes_free(&part);
    }
  ccp_bytes_free(&body);
}

/* The board refers to bodies of that length: they must lie in the arena, where
** worker processes see them. */
static void long_part_lies_in_the_arena(void) {
  ccp_bytes body, part;
  make_body(&body, 4, CCP_ANNEX_BYTES / 2);
  CHECK(ccp_chunk_body_part(&body, 1, 2, &part) == CCP_OK);
  ccp_bytes_free(&part);
  CHECK(ccp_chunk_body_part(&body, 1, 4, &part) == CCP_OK);
  CHECK(part.len > CCP_ANNEX_BYTES && ccp_bytes_is_block(&part));
  CHECK(ccp_arena_valid(ccp_bytes_at(&part), part.len));
  ccp_bytes_free(&part);
  ccp_bytes_free(&body);
}

static void replies_stand_one_after_the_other(void) {
  int owner;
  ccp_chunk *c = ccp_chunk_new(&owner, 1234567890123u, 300);
  size_t at = 0;
  unsigned char bytes[300];
  CHECK(c && c->task.is_chunk && c->task.owner == &owner);
  CHECK(c->task.items == 300 && c->task.posted == 300 && c->known == 300);
  CHECK(c->first == 1234567890123u && c->task.slot == -1 && c->task.fd == -1);
  CHECK(ccp_chunk_of(&c->task) == c);
  for (unsigned i = 0; i < 300; i++) {
    memset(bytes, (int)i, i);
    CHECK(ccp_chunk_add_reply(c, (uint8_t)(i % 4), i ? bytes : NULL, i, 0) ==
          CCP_OK);
  }
  for (unsigned i = 0; i < 300; i++) {
    ccp_item_head h;
    memcpy(&h, ccp_bytes_at(&c->replies) + at, sizeof h);
    at += sizeof h;
    memset(bytes, (int)i, i);
    CHECK(h.len == i && h.status == i % 4 && !h.is_block);
    CHECK(memcmp(ccp_bytes_at(&c->replies) + at, bytes, i) == 0);
    at += i;
  }
  CHECK(at == c->replies.len);
  ccp_chunk_free(c);
}

static void chunk_frees_the_blocks_it_was_given(void) {
  ccp_chunk *c = ccp_chunk_new(NULL, 1, 6);
  void *block[6];
  for (int i = 0; i < 6; i++) {
    block[i] = ccp_arena_alloc(100, NULL);
    CHECK(ccp_chunk_add_reply(c, CCP_R_VALUES, block[i], 100, 1) == CCP_OK);
    CHECK(ccp_chunk_add_reply(c, CCP_R_VALUES, "abc", 3, 0) == CCP_OK);
    if (i == 3) { /* its owner takes these, and reads the first */
      c->reading = c->replies;
      ccp_bytes_init(&c->replies);
      c->at = sizeof(ccp_item_head) + sizeof(void *);
    }
  }
  ccp_chunk_free(c);
  CHECK(ccp_arena_valid(block[0], 100)); /* it was the reader's */
  for (int i = 1; i < 6; i++)
    CHECK(!ccp_arena_valid(block[i], 0));
  ccp_arena_free(block[0]);
}

/* ------------------------------------------------------------ store */

static void tasks_have_small_numbers_of_their_own(void) {
  enum { N = 3000 };
  static ccp_task *task[N];
  static uint8_t seen[N + 257];
  ccp_store s;
  ccp_store_init(&s);
  for (int i = 0; i < N; i++) {
    task[i] = ccp_store_take(&s);
    if (!CHECK(task[i] && task[i]->id >= 1 && task[i]->id <= N + 256 &&
               !seen[task[i]->id]))
      return;
    seen[task[i]->id] = 1;
    CHECK(task[i]->state == CCP_T_NEW && task[i]->items == 1);
    CHECK(task[i]->slot == -1 && task[i]->fd == -1 && task[i]->body.len == 0);
    CHECK(ccp_bytes_set(&task[i]->body, &s, i % 2 ? sizeof s : 0) == CCP_OK);
  }
  for (int i = 0; i < N; i++)
    ccp_store_give(&s, task[i]);
  for (int i = 0; i < N; i++) {
    ccp_task *t = ccp_store_take(&s);
    CHECK(t && seen[t->id] == 1 && t->body.len == 0);
    if (t)
      seen[t->id] = 2;
  }
  ccp_store_fini(&s);
  ccp_store_fini(&s);
}

static void used_task_comes_back_as_new(void) {
  static const char text[] =
      "bytes that are too many to lie in the task itself";
  ccp_store s;
  ccp_task *t, *again;
  uint32_t id;
  ccp_store_init(&s);
  t = ccp_store_take(&s);
  id = t->id;
  CHECK(ccp_bytes_set(&t->body, text, sizeof text) == CCP_OK);
  t->state = CCP_T_FINISHED;
  t->slot = 12;
  t->fd = 5;
  t->done = t->final = 1;
  ccp_store_give(&s, t);
  again = ccp_store_take(&s);
  CHECK(again == t && t->id == id && t->state == CCP_T_NEW);
  CHECK(t->slot == -1 && t->fd == -1 && t->done == 0 && !t->final);
  CHECK(t->items == 1 && t->posted == 1 && t->base == 0 && !t->listed);
  CHECK(t->body.len == 0 && t->body.cap == 0);
  CHECK(ccp_bytes_set(&t->body, text, sizeof text) == CCP_OK);
  ccp_store_fini(&s); /* frees what tasks in use hold, too */
}

int main(void) {
  if (ccp_arena_open() != CCP_OK)
    return EXIT_FAILURE;
  RUN(few_bytes_need_no_memory);
  RUN(bytes_are_added_in_order);
  RUN(extending_keeps_what_was_there);
  RUN(block_is_taken_over);
  RUN(part_of_a_body_has_its_items);
  RUN(long_part_lies_in_the_arena);
  RUN(replies_stand_one_after_the_other);
  RUN(chunk_frees_the_blocks_it_was_given);
  RUN(tasks_have_small_numbers_of_their_own);
  RUN(used_task_comes_back_as_new);
  return check_tally();
}
