/*
** Tests of codec/buf.h. Plain C, one thread.
*/
#include "codec/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "os/codes.h"

static int passed, failed;

static void check(int ok, const char *what, int line) {
  if (ok) {
    passed++;
    return;
  }
  failed++;
  printf("%s:%d: %s\n", __FILE__, line, what);
}
#define CHECK(e) check((e) != 0, #e, __LINE__)

static void starts_empty_without_memory(void) {
  ccp_buf b;
  ccp_buf_init(&b);
  CHECK(b.data == NULL && b.len == 0 && b.cap == 0);
  CHECK(ccp_buf_reserve(&b, 0) == CCP_OK && b.data == NULL);
  CHECK(ccp_buf_put(&b, "x", 0) == CCP_OK && b.data == NULL);
  ccp_buf_trim(&b, 0);
  CHECK(b.data == NULL);
  ccp_buf_fini(&b);
  ccp_buf_fini(&b);
}

static void keeps_bytes_in_order(void) {
  ccp_buf b;
  ccp_buf_init(&b);
  int same = 1;
  for (unsigned i = 0; i < 10000; i++) {
    unsigned char c = (unsigned char)(i * 7);
    if (ccp_buf_put(&b, &c, 1) != CCP_OK)
      break;
  }
  CHECK(b.len == 10000);
  for (unsigned i = 0; i < 10000; i++)
    same &= b.data[i] == (unsigned char)(i * 7);
  CHECK(same);
  ccp_buf_fini(&b);
  CHECK(b.data == NULL && b.len == 0 && b.cap == 0);
}

static void grows_geometrically(void) {
  ccp_buf b;
  ccp_buf_init(&b);
  size_t grown = 0, cap = 0;
  for (unsigned i = 0; i < 100000; i++) {
    if (ccp_buf_put(&b, "ab", 2) != CCP_OK)
      break;
    grown += b.cap != cap;
    cap = b.cap;
  }
  CHECK(b.len == 200000 && b.cap < 2 * b.len);
  CHECK(grown < 40);
  ccp_buf_fini(&b);
}

static void reserves_what_is_asked(void) {
  ccp_buf b;
  ccp_buf_init(&b);
  CHECK(ccp_buf_reserve(&b, 100) == CCP_OK && b.cap >= 100 && b.len == 0);
  unsigned char *data = b.data;
  CHECK(ccp_buf_room(&b, 100) == data);
  b.len = 60;
  CHECK(ccp_buf_reserve(&b, b.cap - 60) == CCP_OK && b.data == data);
  CHECK(ccp_buf_room(&b, 1) == b.data + 60);
  ccp_buf_fini(&b);
}

static void refuses_what_overflows(void) {
  ccp_buf b;
  memset(&b, 0, sizeof b); /* its padding is compared, too */
  ccp_buf_init(&b);
  CHECK(ccp_buf_put(&b, "abc", 3) == CCP_OK);
  ccp_buf before = b;
  CHECK(ccp_buf_reserve(&b, SIZE_MAX) == CCP_E_NOMEM);
  CHECK(ccp_buf_reserve(&b, SIZE_MAX - 2) == CCP_E_NOMEM);
  CHECK(ccp_buf_reserve(&b, (size_t)PTRDIFF_MAX - 2) == CCP_E_NOMEM);
  CHECK(ccp_buf_room(&b, SIZE_MAX) == NULL);
  CHECK(memcmp(&b, &before, sizeof b) == 0);
  CHECK(b.len == 3 && memcmp(b.data, "abc", 3) == 0);
  ccp_buf_fini(&b);
}

static void trims_but_never_its_bytes(void) {
  ccp_buf b;
  ccp_buf_init(&b);
  CHECK(ccp_buf_reserve(&b, 100000) == CCP_OK);
  CHECK(ccp_buf_put(&b, "hello", 5) == CCP_OK);
  ccp_buf_trim(&b, 200000);
  CHECK(b.cap >= 100000);
  ccp_buf_trim(&b, 1000);
  CHECK(b.cap == 1000);
  ccp_buf_trim(&b, 0);
  CHECK(b.cap == 5 && b.len == 5 && memcmp(b.data, "hello", 5) == 0);
  ccp_buf_reset(&b);
  CHECK(b.len == 0 && b.cap == 5);
  ccp_buf_trim(&b, 0);
  CHECK(b.data == NULL && b.cap == 0);
  CHECK(ccp_buf_put(&b, "again", 5) == CCP_OK && b.len == 5);
  ccp_buf_fini(&b);
}

int main(void) {
  starts_empty_without_memory();
  keeps_bytes_in_order();
  grows_geometrically();
  reserves_what_is_asked();
  refuses_what_overflows();
  trims_but_never_its_bytes();
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
