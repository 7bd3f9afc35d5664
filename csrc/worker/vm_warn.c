/*
** Warnings. In the thread of the Lua state.
*/
#include "worker/vm_warn.h"

#include <stdio.h>
#include <string.h>

#include <lua.h>

static void turned_off(void *ud, const char *message, int to_continue);
static void turned_on(void *ud, const char *message, int to_continue);

/* A message of one part that begins with '@' is for us; what is not known is
** ignored. */
static int is_control(lua_State *L, const char *message, int to_continue) {
  if (to_continue || *message != '@')
    return 0;
  if (strcmp(message, "@off") == 0)
    lua_setwarnf(L, turned_off, L);
  else if (strcmp(message, "@on") == 0)
    lua_setwarnf(L, turned_on, L);
  return 1;
}

static void turned_off(void *ud, const char *message, int to_continue) {
  (void)is_control(ud, message, to_continue);
}

/* Further parts of a message, '@' or not. */
static void going_on(void *ud, const char *message, int to_continue) {
  lua_State *L = ud;
  (void)fputs(message, stderr);
  if (!to_continue)
    (void)fputc('\n', stderr);
  (void)fflush(stderr);
  lua_setwarnf(L, to_continue ? going_on : turned_on, L);
}

static void turned_on(void *ud, const char *message, int to_continue) {
  if (is_control(ud, message, to_continue))
    return;
  (void)fputs("Lua warning: ", stderr);
  going_on(ud, message, to_continue);
}

void ccp_vm_warnings(lua_State *L) {
  lua_setwarnf(L, turned_off, L);
}
