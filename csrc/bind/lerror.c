/*
** Error objects. Runs in the thread of the Lua state.
*/
#include "bind/lerror.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "codec/codec.h"
#include "os/codes.h"
#include "os/process.h"
#include "task/replies.h"
#include "task/task.h"

static const char maker_key = 0; /* its address: in the registry */

void ccp_error_set_maker(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &maker_key);
}

void ccp_error_make(lua_State *L, const char *kind, const char *message) {
  luaL_checkstack(L, 4, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &maker_key);
  lua_insert(L, -2);
  lua_pushstring(L, kind);
  lua_insert(L, -2);
  lua_pushstring(L, message);
  lua_insert(L, -2);
  lua_call(L, 3, 1);
}

static int raise_sys(lua_State *L, const char *what) {
  int err = errno;
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, err);
  lua_setfield(L, -2, "errno");
  lua_pushstring(L, what);
  lua_setfield(L, -2, "call");
  lua_pushfstring(L, "%s: %s", what, strerror(err));
  lua_insert(L, -2);
  ccp_error_make(L, "SystemError", lua_tostring(L, -2));
  return lua_error(L);
}

/* Stack: path, cause. Pushes the error. */
static void not_sendable(lua_State *L) {
  luaL_checkstack(L, 6, NULL);
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "cause");
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "path");
  lua_remove(L, -2);
  lua_pushfstring(L, "cannot send %s", lua_tostring(L, -2));
  lua_insert(L, -2);
  ccp_error_make(L, "NotSendableError", lua_tostring(L, -2));
}

int ccp_error_raise_unsendable(lua_State *L, const char *what) {
  lua_pushfstring(L, "the %s (it travels to threads of its own process only)",
                  what);
  lua_pushnil(L);
  not_sendable(L);
  return lua_error(L);
}

int ccp_error_raise(lua_State *L, int code, const char *what) {
  static const struct {
    int code;
    const char *kind, *message;
  } plain[] = {
      {CCP_E_NOMEM, "MemoryLimitError", "not enough memory"},
      {CCP_E_DEADLOCK, "DeadlockError", "the tasks wait for each other"},
      {CCP_E_TIMEOUT, "TimeoutError", "timed out"},
      {CCP_E_FULL, "QueueFullError", "the queue is full"},
      {CCP_E_CLOSED, "ShutdownError", "the executor was shut down"},
      {CCP_E_BADDATA, "SystemError", "malformed data"},
  };
  if (code == CCP_E_SYS)
    return raise_sys(L, what);
  if (code == CCP_E_NOTSENDABLE) {
    if (!ccp_codec_cause(L))
      lua_pushnil(L);
    not_sendable(L);
    return lua_error(L);
  }
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
    if (plain[i].code == code) {
      lua_pushnil(L);
      ccp_error_make(L, plain[i].kind, what ? what : plain[i].message);
      return lua_error(L);
    }
  return luaL_error(L, "%s: code %d", what ? what : "ccpool", code);
}

/* ---------------------------------------------------------- replies */

static void set_integer(lua_State *L, const char *name, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

static void of_crash(lua_State *L, const void *bytes, size_t len) {
  ccp_crash c = {0};
  const char *signame;
  if (len >= sizeof c)
    memcpy(&c, bytes, sizeof c);
  lua_createtable(L, 0, 5);
  set_integer(L, "pid", c.pid);
  set_integer(L, "worker", c.worker + 1);
  if (c.signal == 0) {
    set_integer(L, "exitcode", c.exitcode);
    lua_pushfstring(L, "worker %d (pid %d) exited with code %d", c.worker + 1,
                    c.pid, c.exitcode);
  } else {
    signame = ccp_process_signame(c.signal);
    set_integer(L, "exitcode", -c.signal);
    set_integer(L, "signal", c.signal);
    lua_pushstring(L, signame ? signame : "unknown signal");
    lua_setfield(L, -2, "signame");
    lua_pushfstring(L, "worker %d (pid %d) was killed by %s", c.worker + 1,
                    c.pid, signame ? signame : "a signal");
  }
  if (len > sizeof c) { /* the task's name stands behind */
    lua_pushliteral(L, " in task '");
    lua_pushlstring(L, (const char *)bytes + sizeof c, len - sizeof c);
    lua_pushvalue(L, -1);
    lua_setfield(L, -5, "task");
    lua_pushliteral(L, "'");
    lua_concat(L, 4);
  }
  lua_insert(L, -2);
  ccp_error_make(L, "WorkerCrashedError", lua_tostring(L, -2));
  lua_remove(L, -2);
}

/* Stack: error, traceback. An error object of ours says where it was raised, if
** it does not yet. */
static void keep_traceback(lua_State *L) {
  int err = lua_gettop(L) - 1, is_ours;
  if (!lua_istable(L, err) || !lua_isstring(L, err + 1) ||
      luaL_getmetafield(L, err, "__name") == LUA_TNIL)
    return;
  is_ours =
      lua_isstring(L, -1) && strcmp(lua_tostring(L, -1), "ccpool.Error") == 0;
  lua_pushliteral(L, "traceback");
  if (is_ours && lua_rawget(L, err) == LUA_TNIL) {
    lua_pushliteral(L, "traceback");
    lua_pushvalue(L, err + 1);
    lua_rawset(L, err);
  }
  lua_settop(L, err + 1);
}

static void of_error(lua_State *L, const void *bytes, size_t len) {
  size_t used;
  int n = ccp_decode(L, bytes, len, &used, NULL);
  lua_settop(L, lua_gettop(L) - n + 2);
  keep_traceback(L);
}

static void plain_of(lua_State *L, const char *kind, const void *bytes,
                     size_t len, const char *otherwise) {
  lua_pushlstring(L, len ? bytes : otherwise, len ? len : strlen(otherwise));
  lua_pushnil(L);
  ccp_error_make(L, kind, lua_tostring(L, -2));
  lua_remove(L, -2);
}

static void of_cancel(lua_State *L, const void *reason, size_t len) {
  if (len == 0) {
    plain_of(L, "CancelledError", NULL, 0, "the task was cancelled");
    return;
  }
  lua_pushliteral(L, "the task was cancelled: ");
  lua_pushlstring(L, reason, len);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "reason");
  lua_insert(L, -3); /* fields, prefix, reason */
  lua_concat(L, 2);
  lua_insert(L, -2);
  ccp_error_make(L, "CancelledError", lua_tostring(L, -2));
  lua_remove(L, -2);
}

int ccp_error_is_hook(lua_State *L, lua_Debug *ar) {
  return lua_getinfo(L, "n", ar) && ar->namewhat &&
         strcmp(ar->namewhat, "hook") == 0;
}

void ccp_error_broken(lua_State *L) {
  luaL_checkstack(L, 6, NULL);
  lua_pushfstring(L, "the executor is broken: %s", luaL_tolstring(L, -1, NULL));
  lua_createtable(L, 0, 1); /* cause, its text, message, fields */
  lua_pushvalue(L, -4);
  lua_setfield(L, -2, "cause");
  ccp_error_make(L, "BrokenExecutorError", lua_tostring(L, -2));
  lua_replace(L, -4);
  lua_pop(L, 2);
}

static void of_broken(lua_State *L, const unsigned char *bytes, size_t len) {
  if (len > 0 && bytes[0] != CCP_R_BROKEN)
    ccp_error_of_reply(L, bytes[0], bytes + 1, len - 1);
  else {
    lua_pushnil(L);
    lua_pushnil(L);
  }
  lua_insert(L, -2); /* where the cause was raised, cause */
  ccp_error_broken(L);
  lua_insert(L, -2);
  keep_traceback(L);
  lua_pop(L, 1);
}

/* The path, then, behind a zero, what a `save` raised. */
static void of_not_sendable(lua_State *L, const char *bytes, size_t len) {
  size_t path_len = strnlen(bytes, len), used;
  int top = lua_gettop(L);
  lua_pushlstring(L, bytes, path_len);
  if (len > path_len + 1)
    (void)ccp_decode(L, bytes + path_len + 1, len - path_len - 1, &used, NULL);
  lua_settop(L, top + 2);
  not_sendable(L);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

void ccp_error_of_reply(lua_State *L, uint8_t status, const void *bytes,
                        size_t len) {
  luaL_checkstack(L, 10, NULL);
  switch (status) {
  case CCP_R_ERROR:
  case CCP_R_INIT:
    of_error(L, bytes, len);
    return;
  case CCP_R_NOTSENDABLE:
    of_not_sendable(L, bytes, len);
    break;
  case CCP_R_CRASH:
    of_crash(L, bytes, len);
    break;
  case CCP_R_BROKEN:
    of_broken(L, bytes, len);
    break;
  case CCP_R_CANCELLED:
    of_cancel(L, bytes, len);
    break;
  case CCP_R_TIMEOUT:
    plain_of(L, "TimeoutError", bytes, len, "the task's time was up");
    break;
  case CCP_R_SYSTEM:
    plain_of(L, "SystemError", bytes, len, "the system refused");
    break;
  default:
    plain_of(L, "MemoryLimitError", bytes, len, "not enough memory");
  }
  lua_pushnil(L);
}
