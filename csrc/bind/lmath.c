/*
** Prime numbers: single ones, counts, and whole chunks of text or of a range
** at once, answered by text. Integers are read as unsigned.
**
** How an answer looks is given by a table of strings, the style:
**   before digits (yes | no)                 no answer where it is missing
**   before digits middle (next | none) after     if there is a middle
*/
#include "bind/lmath.h"

#include <string.h>

#include <lauxlib.h>

#include "math/isprime.h"
#include "math/sieve.h"

enum { MAX_DIGITS = 20 };

typedef struct slice {
  const char *at; /* borrowed from a string on the stack; or NULL */
  size_t len;
} slice;

typedef struct answers {
  slice before, yes, no, middle, none, after;
  luaL_Buffer buffer; /* its place on the stack is the topmost */
  lua_Integer numbers, primes;
} answers;

static uint64_t check_number(lua_State *L, int arg) {
  return (uint64_t)luaL_checkinteger(L, arg);
}

/* isprime(n) -> boolean */
static int math_isprime(lua_State *L) {
  lua_pushboolean(L, ccp_is_prime(check_number(L, 1)));
  return 1;
}

/* nextprime(n) -> the smallest prime above n, or nil */
static int math_nextprime(lua_State *L) {
  uint64_t next = ccp_next_prime(check_number(L, 1));
  if (next)
    lua_pushinteger(L, (lua_Integer)next);
  else
    lua_pushnil(L);
  return 1;
}

/* The memory is the state's, on top of the stack: no error loses it. */
static ccp_sieve *push_sieve(lua_State *L, uint64_t low, uint64_t high,
                             int is_pure) {
  void *memory = lua_newuserdatauv(L, ccp_sieve_size(low, high), 0);
  return ccp_sieve_init(memory, low, high, is_pure);
}

/* countprimes(low, high [, is_pure]) -> how many primes there are */
static int math_countprimes(lua_State *L) {
  uint64_t low = check_number(L, 1), high = check_number(L, 2);
  uint64_t count = low <= 2 && high >= 2;
  ccp_sieve *s = push_sieve(L, low, high, lua_toboolean(L, 3));
  ccp_segment segment;
  while (ccp_sieve_next(s, &segment))
    count += ccp_segment_count(&segment);
  lua_pushinteger(L, (lua_Integer)count);
  return 1;
}

/* ---- Answers ---- */

static slice field(lua_State *L, int style, const char *name) {
  slice s = {NULL, 0};
  if (lua_getfield(L, style, name) != LUA_TNIL)
    s.at = luaL_checklstring(L, -1, &s.len);
  return s; /* its string stays on the stack */
}

static void begin(lua_State *L, answers *a, int style) {
  luaL_checktype(L, style, LUA_TTABLE);
  luaL_checkstack(L, 16, NULL);
  a->before = field(L, style, "before");
  a->yes = field(L, style, "yes");
  a->no = field(L, style, "no");
  a->middle = field(L, style, "middle");
  a->none = field(L, style, "none");
  a->after = field(L, style, "after");
  a->numbers = a->primes = 0;
  luaL_buffinit(L, &a->buffer);
}

static char *put(char *to, slice s) {
  if (s.len > 0)
    memcpy(to, s.at, s.len);
  return to + s.len;
}

/* The digits of 'n', at the end of 'room', which has MAX_DIGITS bytes. */
static slice digits_of(uint64_t n, char *room) {
  slice s;
  char *at = room + MAX_DIGITS;
  do
    *--at = (char)('0' + n % 10);
  while (n /= 10);
  s.at = at;
  s.len = (size_t)(room + MAX_DIGITS - at);
  return s;
}

static void answer_test(answers *a, slice digits, int is_prime) {
  slice verdict = is_prime ? a->yes : a->no;
  char *start, *at;
  a->numbers++;
  a->primes += is_prime;
  if (!verdict.at)
    return;
  start =
      luaL_prepbuffsize(&a->buffer, a->before.len + digits.len + verdict.len);
  at = put(put(put(start, a->before), digits), verdict);
  luaL_addsize(&a->buffer, (size_t)(at - start));
}

static void answer_next(answers *a, slice digits, uint64_t n) {
  uint64_t next = ccp_next_prime(n);
  char room[MAX_DIGITS], *start, *at;
  slice shown = next ? digits_of(next, room) : a->none;
  a->numbers++;
  start =
      luaL_prepbuffsize(&a->buffer, a->before.len + digits.len + a->middle.len +
                                        shown.len + a->after.len);
  at = put(put(put(start, a->before), digits), a->middle);
  at = put(put(at, shown), a->after);
  luaL_addsize(&a->buffer, (size_t)(at - start));
}

static void answer(answers *a, slice digits, uint64_t n) {
  if (a->middle.at)
    answer_next(a, digits, n);
  else
    answer_test(a, digits, ccp_is_prime(n));
}

/* ---- Text ---- */

/* Reads digits with an optional plus; on success the slice is what is left of
** it without plus and leading zeros. */
static int parse(slice *token, uint64_t *value) {
  slice s = *token;
  uint64_t n = 0;
  if (s.len > 1 && *s.at == '+')
    s.at++, s.len--;
  while (s.len > 1 && *s.at == '0')
    s.at++, s.len--;
  if (s.len == 0 || s.len > MAX_DIGITS)
    return 0;
  for (size_t i = 0; i < s.len; i++) {
    unsigned digit = (unsigned)(unsigned char)s.at[i] - '0';
    if (digit > 9 || n > (UINT64_MAX - digit) / 10)
      return 0;
    n = n * 10 + digit;
  }
  *token = s;
  *value = n;
  return 1;
}

static int is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

typedef struct scanner {
  const char *at, *end;
  int by_line;
  lua_Integer lines; /* ends of lines passed */
} scanner;

static int next_line(scanner *s, slice *token) {
  const char *stop;
  if (s->at == s->end)
    return 0;
  stop = memchr(s->at, '\n', (size_t)(s->end - s->at));
  token->at = s->at;
  token->len = (size_t)((stop ? stop : s->end) - s->at);
  s->at = stop ? stop + 1 : s->end;
  s->lines++;
  return 1;
}

static int next_word(scanner *s, slice *token) {
  for (; s->at < s->end && is_blank(*s->at); s->at++)
    s->lines += *s->at == '\n';
  token->at = s->at;
  while (s->at < s->end && !is_blank(*s->at))
    s->at++;
  token->len = (size_t)(s->at - token->at);
  return token->len > 0;
}

static void note_error(lua_State *L, int errors, lua_Integer line,
                       slice token) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, errors);
  lua_pushinteger(L, line);
  lua_rawseti(L, errors, n + 1);
  lua_pushlstring(L, token.at, token.len);
  lua_rawseti(L, errors, n + 2);
}

/* primetext(text, by_line, style) -> answers, numbers, primes, line ends,
** errors: a flat array of lines of the text and what is no number there. Words
** are parted by blanks, or, if 'by_line', are whole lines. */
static int math_primetext(lua_State *L) {
  answers a;
  scanner s;
  slice token;
  size_t len;
  uint64_t n;
  const int errors = 4;
  s.at = luaL_checklstring(L, 1, &len);
  s.end = s.at + len;
  s.by_line = lua_toboolean(L, 2);
  s.lines = 0;
  lua_settop(L, 3);
  lua_newtable(L);
  begin(L, &a, 3);
  while (s.by_line ? next_line(&s, &token) : next_word(&s, &token)) {
    if (parse(&token, &n))
      answer(&a, token, n);
    else
      note_error(L, errors, s.by_line ? s.lines : s.lines + 1, token);
  }
  luaL_pushresult(&a.buffer);
  lua_pushinteger(L, a.numbers);
  lua_pushinteger(L, a.primes);
  lua_pushinteger(L, s.lines);
  lua_pushvalue(L, errors);
  return 5;
}

/* ---- Ranges ---- */

static void answer_number(answers *a, uint64_t n, int is_prime) {
  char room[MAX_DIGITS];
  answer_test(a, digits_of(n, room), is_prime);
}

/* Answers the numbers from 'n' to 'last', which a segment holds. */
static void answer_segment(answers *a, const ccp_segment *segment, uint64_t n,
                           uint64_t last) {
  for (;; n++) {
    uint64_t i = (n - segment->first) / 2;
    int is_prime = n == 2;
    if (n % 2 == 1)
      is_prime = !(segment->composite[i >> 3] >> (i & 7) & 1);
    answer_number(a, n, is_prime);
    if (n == last)
      return;
  }
}

static void sieve_range(answers *a, ccp_sieve *s, uint64_t low, uint64_t high) {
  ccp_segment segment;
  uint64_t n = low, last;
  while (ccp_sieve_next(s, &segment)) {
    uint64_t span = segment.bytes * UINT64_C(16) - 1;
    last = high - segment.first <= span ? high : segment.first + span;
    answer_segment(a, &segment, n, last);
    if (last == high)
      return;
    n = last + 1;
  }
  answer_number(a, n, n == 2); /* a single even number */
}

static void next_range(answers *a, uint64_t low, uint64_t high) {
  char room[MAX_DIGITS];
  for (uint64_t n = low;; n++) {
    answer(a, digits_of(n, room), n);
    if (n == high)
      return;
  }
}

/* primerange(low, high, style, how) -> answers, numbers, primes; 'how' is
** "auto", "sieve", or "c", which tests each number. */
static int math_primerange(lua_State *L) {
  static const char *const ways[] = {"auto", "sieve", "c", NULL};
  uint64_t low = check_number(L, 1), high = check_number(L, 2);
  int how = luaL_checkoption(L, 4, "auto", ways);
  ccp_sieve *s;
  answers a;
  luaL_argcheck(L, low <= high, 2, "the range is empty");
  lua_settop(L, 3);
  s = push_sieve(L, low, high, how == 1);
  begin(L, &a, 3);
  if (a.middle.at || how == 2)
    next_range(&a, low, high);
  else
    sieve_range(&a, s, low, high);
  luaL_pushresult(&a.buffer);
  lua_pushinteger(L, a.numbers);
  lua_pushinteger(L, a.primes);
  return 3;
}

void ccp_math_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"isprime", math_isprime},         {"nextprime", math_nextprime},
      {"countprimes", math_countprimes}, {"primetext", math_primetext},
      {"primerange", math_primerange},   {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
