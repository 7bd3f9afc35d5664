/*
** How a value that cannot travel is called in words of the program: the steps
** from the argument down to it, read off the open frames. See encode.h. The
** thread of the state.
**
** The text grows in scratch memory; without memory it ends early, for a path
** cut short is still better than no error.
*/
#include "codec/encode.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "codec/custom.h"

enum {
  HEAD_STEPS = 32, /* of a very deep path, this many are shown */
  TAIL_STEPS = 8,  /* and this many at its end */
  KEY_MAX = 60     /* bytes shown of a key */
};

static void add(ccp_buf *text, const char *s) {
  (void)ccp_buf_put(text, s, strlen(s));
}

static int is_reserved(const char *s, size_t len) {
  static const char *const words[] = {
      "and",      "break",  "do",   "else", "elseif", "end",  "false", "for",
      "function", "goto",   "if",   "in",   "local",  "nil",  "not",   "or",
      "repeat",   "return", "then", "true", "until",  "while"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strlen(words[i]) == len && memcmp(words[i], s, len) == 0)
      return 1;
  return 0;
}

static int is_identifier(const char *s, size_t len) {
  if (len == 0 || len > KEY_MAX || isdigit((unsigned char)s[0]))
    return 0;
  for (size_t i = 0; i < len; i++)
    if (!isalnum((unsigned char)s[i]) && s[i] != '_')
      return 0;
  return !is_reserved(s, len);
}

/* ["key"], with what is not printable as escapes and long keys cut. */
static void add_quoted(ccp_buf *text, const char *s, size_t len) {
  add(text, "[\"");
  for (size_t i = 0; i < len && i < KEY_MAX; i++) {
    char one[8];
    unsigned char c = (unsigned char)s[i];
    if (c == '"' || c == '\\')
      (void)snprintf(one, sizeof one, "\\%c", c);
    else if (c < ' ' || c == 127)
      (void)snprintf(one, sizeof one, "\\%03u", (unsigned)c);
    else
      (void)snprintf(one, sizeof one, "%c", c);
    add(text, one);
  }
  add(text, len > KEY_MAX ? "...\"]" : "\"]");
}

static void add_string_key(lua_State *L, ccp_buf *text, int idx) {
  size_t len;
  const char *s = lua_tolstring(L, idx, &len);
  if (!is_identifier(s, len)) {
    add_quoted(text, s, len);
    return;
  }
  add(text, ".");
  add(text, s);
}

/* The key at idx as a step: .key, [3], ["a b"], [true]. */
static void add_key(lua_State *L, ccp_buf *text, int idx) {
  char step[64];
  switch (lua_type(L, idx)) {
  case LUA_TSTRING:
    add_string_key(L, text, idx);
    return;
  case LUA_TNUMBER:
    if (lua_isinteger(L, idx))
      (void)snprintf(step, sizeof step, "[" LUA_INTEGER_FMT "]",
                     lua_tointeger(L, idx));
    else
      (void)snprintf(step, sizeof step, "[" LUA_NUMBER_FMT "]",
                     lua_tonumber(L, idx));
    break;
  case LUA_TBOOLEAN:
    (void)snprintf(step, sizeof step, "[%s]",
                   lua_toboolean(L, idx) ? "true" : "false");
    break;
  default:
    (void)snprintf(step, sizeof step, "[%s]", luaL_typename(L, idx));
  }
  add(text, step);
}

static void add_upvalue(lua_State *L, ccp_buf *text, int fn, int n) {
  const char *name = lua_getupvalue(L, fn, n);
  add(text, " upvalue '");
  add(text, name != NULL ? name : "?");
  add(text, "'");
  if (name != NULL)
    lua_pop(L, 1);
}

/* " type 'name' save": a part of the registration whose entry is at idx. */
static void add_part(lua_State *L, ccp_buf *text, int idx, int part) {
  lua_rawgeti(L, idx, CCP_E_NAME);
  add(text, " type '");
  add(text, lua_tostring(L, -1));
  add(text, part == CCP_E_SAVE   ? "' save"
            : part == CCP_E_LOAD ? "' load"
            : part > CCP_E_PARTS ? "' values"
                                 : "' metatable");
  lua_pop(L, 1);
}

/* Pushes the two slots of that frame: its container and its key. */
static void push_slots(ccp_enc *e, size_t level) {
  if (level + 1 < CCP_ENC_LEVELS || level + 1 == e->depth) {
    int slot = ccp_enc_slot(e, level);
    lua_pushvalue(e->L, slot);
    lua_pushvalue(e->L, slot + 1);
    return;
  }
  lua_Integer i = 2 * (lua_Integer)(level + 1 - CCP_ENC_LEVELS);
  lua_rawgeti(e->L, ccp_enc_spill(e), i + 1);
  lua_rawgeti(e->L, ccp_enc_spill(e), i + 2);
}

/* The step from that frame to its child. */
static void add_step(ccp_enc *e, ccp_buf *text, size_t level) {
  lua_State *L = e->L;
  const ccp_frame *f = ccp_enc_frame(e, level);
  char step[40];
  push_slots(e, level);
  switch (f->at) {
  case CCP_AT_KEY:
    add(text, " key");
    break;
  case CCP_AT_METATABLE:
    add(text, " metatable");
    break;
  case CCP_AT_UPVALUE:
    add_upvalue(L, text, lua_gettop(L) - 1, (int)f->next);
    break;
  case CCP_AT_SAVED:
    (void)snprintf(step, sizeof step, " saved value %d", (int)f->next - 1);
    if (f->next > 1) /* the first is the type, which names itself */
      add(text, step);
    break;
  case CCP_AT_AFTER:
    break;
  case CCP_AT_TYPE:
    add_part(L, text, lua_gettop(L) - 1, (int)f->next);
    break;
  default:
    add_key(L, text, lua_gettop(L));
  }
  lua_pop(L, 2);
}

/* Is the container of that frame one of our objects? What it is made of means
** nothing to the program. */
static int is_ours(ccp_enc *e, size_t level) {
  static const char prefix[] = "ccpool.";
  lua_State *L = e->L;
  int top = lua_gettop(L), ours = 0;
  push_slots(e, level);
  if (lua_istable(L, top + 1) && lua_getmetatable(L, top + 1)) {
    lua_pushliteral(L, "__name");
    ours = lua_rawget(L, -2) == LUA_TSTRING &&
           strncmp(lua_tostring(L, -1), prefix, sizeof prefix - 1) == 0;
  }
  lua_settop(L, top);
  return ours;
}

/* What arguments of that name are given to. */
static const char *callee(const char *noun) {
  return strcmp(noun, "argument") == 0   ? "function"
         : strcmp(noun, "initargs") == 0 ? "initializer"
                                         : noun;
}

/* "argument 2", "function", "error": the value the path begins with. */
static void add_start(const ccp_enc *e, ccp_buf *text) {
  const ccp_what *w = &e->what;
  char number[24];
  if (w->first == 0 && e->value == 0) {
    add(text, callee(w->noun));
    return;
  }
  add(text, w->noun);
  if (w->first < 0)
    return;
  (void)snprintf(number, sizeof number, " %d", w->first + e->value);
  add(text, number);
}

/* What the value at idx is: "thread", "C function", "userdata: FILE*". */
static void add_kind(lua_State *L, ccp_buf *text, int idx) {
  char address[40];
  int type = lua_type(L, idx);
  add(text, type == LUA_TFUNCTION        ? "C function"
            : type == LUA_TLIGHTUSERDATA ? "light userdata"
                                         : lua_typename(L, type));
  if (type != LUA_TUSERDATA)
    return;
  add(text, ": ");
  int top = lua_gettop(L);
  int named = 0;
  if (lua_getmetatable(L, idx)) {
    lua_pushliteral(L, "__name");
    named = lua_rawget(L, -2) == LUA_TSTRING;
  }
  (void)snprintf(address, sizeof address, "%p", lua_topointer(L, idx));
  add(text, named ? lua_tostring(L, -1) : address);
  lua_settop(L, top);
}

void ccp_path_push(ccp_enc *e, const char *why) {
  lua_State *L = e->L;
  ccp_buf *text = &e->s->text;
  int value = lua_gettop(L);
  ccp_buf_reset(text);
  add_start(e, text);
  for (size_t level = 0; level < e->depth && !is_ours(e, level); level++) {
    if (level == HEAD_STEPS && e->depth > HEAD_STEPS + TAIL_STEPS) {
      add(text, " ... ");
      level = e->depth - TAIL_STEPS;
    }
    add_step(e, text, level);
  }
  add(text, " (");
  if (why != NULL)
    add(text, why);
  else
    add_kind(L, text, value);
  add(text, ")");
  const void *s = text->data;
  lua_pushlstring(L, s != NULL ? s : "", text->len);
}
