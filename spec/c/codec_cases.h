/*
** Snippets of Lua that test the codec and fail by raising: each is run with a
** store of functions and without, with tables read as they lie in memory and
** passed with lua_next. One thread.
*/
#ifndef CODEC_CASES_H
#define CODEC_CASES_H

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "codec/codec.h"
#include "codec/raw.h"
#include "codec_kit.h"

typedef struct testcase {
  const char *name;
  const char *code;
} testcase;

/* Whether tables are read as they lie in memory, where that is known. The
** Makefile links these programs so that the question comes here. */
static int read_raw;

int __real_ccp_raw_known(void);
int __wrap_ccp_raw_known(void);

int __wrap_ccp_raw_known(void) {
  return read_raw && __real_ccp_raw_known();
}

static int passed, failed;

static void report(const char *name, const char *how, const char *error) {
  if (error == NULL) {
    passed++;
    return;
  }
  failed++;
  printf("%s (%s): %s\n", name, how, error);
}

static void run_case(const testcase *c, int in_messages, int raw) {
  static const char *const how[] = {"store, passed", "inline, passed",
                                    "store, raw", "inline, raw"};
  kit k;
  read_raw = raw;
  kit_init(&k);
  if (in_messages)
    k.in_use = NULL;
  int rc = luaL_loadbuffer(k.here, c->code, strlen(c->code), "=case");
  if (rc == LUA_OK)
    rc = lua_pcall(k.here, 0, 0, 0);
  const char *error = rc == LUA_OK ? NULL : luaL_tolstring(k.here, -1, NULL);
  report(c->name, how[2 * raw + in_messages], error);
  kit_fini(&k);
}

static int run_cases(const testcase *cases, size_t n) {
  for (size_t i = 0; i < n; i++)
    for (int way = 0; way < 4; way++)
      run_case(&cases[i], way & 1, way >> 1);
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}

#endif
