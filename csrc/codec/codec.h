/*
** Values to bytes and back: the one header the rest of the program includes.
** A message is a count and that many values; it names no state and no address,
** so any process of the program may decode it. Each call works on the Lua
** state it is given, in the thread that runs that state; it takes no lock and
** blocks only in the store behind `ccp_funcs` and in user code (see each).
*/
#ifndef CCP_CODEC_CODEC_H
#define CCP_CODEC_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "codec/buf.h"
#include "codec/funcs.h"

/* How NotSendableError names the values of one message. */
typedef struct ccp_what {
  const char *noun; /* "argument", "result", "error", ... */
  int first;        /* number of the first value; 0: the first value is
                       "function" and the next is noun 1; -1: noun alone */
  int purpose;      /* what functions that save learn: ccp_codec_saving */
} ccp_what;

/* As `first`: noun alone, and a new state decodes the message before it has
** preloads, or else with those given to ccp_codec_types. A module that only the
** program has can lend no names then. */
enum { CCP_WHAT_EARLY = -2, CCP_WHAT_NEW = -3 };

/* The codec's context of this state, made if need be and anchored in the
** registry: valid as long as the state lives. The calls below find it by
** themselves; who encodes and decodes often keeps it at hand. May raise memory
** errors. */
typedef struct ccp_ctx ccp_ctx;
ccp_ctx *ccp_codec_of(lua_State *L);
/* The same, but NULL if none was made. Raises nothing. */
ccp_ctx *ccp_codec_peek(lua_State *L);

/* The `purpose` of the message that a registered type's value is saved for: who
** saves asks that first. */
int ccp_codec_saving(const ccp_ctx *ctx);

/* How often this state has dumped a function, and loaded one from a dump. May
** raise memory errors. */
void ccp_codec_counts(lua_State *L, uint64_t *dumps, uint64_t *loads);

/* Registers values with a given metatable: the stack holds name (string without
** zeros), metatable (table), save and load (functions) at 1..4, already
** checked. save(value) gives the values that travel, load(...) remakes it from
** them. Both name and metatable may be registered again. Returns 0 (no
** results); may raise memory errors. The first is for types that every state
** registers which loads this library; the second for those of the program: the
** module that registers it (string, or nil) is at 5. */
int ccp_codec_register(lua_State *L);
/* In a save function, before it runs code of the program: will another process
** decode what it gives, as far as that is known? */
int ccp_codec_saves_for_elsewhere(lua_State *L);
int ccp_codec_register_type(lua_State *L);

/* Pushes an array of the registered metatables that no module registers and
** that can be sent: sent in a message, they are registered where it is decoded,
** in a new state that has the preloads in the table at that index. Returns 1.
** Runs no user code; may raise memory errors. */
int ccp_codec_types(lua_State *L, int preloads);

/* All that is registered now is known to those who decode with the store of
** that uid: because their states are copies of this one (`copied`), or because
** they were sent what ccp_codec_types gave just before. */
void ccp_codec_types_known(lua_State *L, uint64_t uid, int copied);

/* This state is a worker's from now on: what is registered is known to who
** made it. */
void ccp_codec_inherit(lua_State *L);

/* Appends one message with the n values at [first, first + n) to b.
** CCP_OK; CCP_E_NOTSENDABLE with the path string pushed on the stack;
** CCP_E_NOMEM; or what fs->put returned. On failure b->len is what it was.
** May raise Lua memory errors: b stays valid, its len then unspecified. Runs no
** metamethod and no user code but registered `save` functions. The stack must
** have 4 free slots and is otherwise left as it was; `first` is positive. With
** fs == NULL any state of the program may decode it; with &ccp_funcs_home the
** one that made this one, or this one. */
int ccp_encode(lua_State *L, int first, int n, ccp_what what, ccp_buf *b,
               const ccp_funcs *fs);

/* After CCP_E_NOTSENDABLE: pushes what a `save` raised, once, and returns 1; or
** returns 0, if that was not the reason or it raised nil. May raise memory
** errors. */
int ccp_codec_cause(lua_State *L);

/* As ccp_encode, but the first value, if a string "module.function", is what
** the decoder resolves with require. */
int ccp_encode_call(lua_State *L, int first, int n, ccp_what what, ccp_buf *b,
                    const ccp_funcs *fs);

/* Both with the context at hand. */
int ccp_encode_in(lua_State *L, ccp_ctx *ctx, int first, int n, ccp_what what,
                  ccp_buf *b, const ccp_funcs *fs);
int ccp_encode_call_in(lua_State *L, ccp_ctx *ctx, int first, int n,
                       ccp_what what, ccp_buf *b, const ccp_funcs *fs);

/* Decodes the message at p: pushes its values and returns how many; *used is
** how many bytes it took. MUST run in protected mode: raises a Lua error
** ("malformed message: ..." for bytes no encoder wrote, or what require or
** `load` raised). The stack must have 8 free slots. May run
** user code: the chunks of modules, registered `load`s. */
int ccp_decode(lua_State *L, const void *p, size_t len, size_t *used,
               const ccp_funcs *fs);
int ccp_decode_in(lua_State *L, ccp_ctx *ctx, const void *p, size_t len,
                  size_t *used, const ccp_funcs *fs);

/* What the last large message took does not count yet for the collector. */
int ccp_codec_owes(const ccp_ctx *ctx);
/* The state has a moment: now it counts, and the collector goes on if it is
** due. Runs finalizers. */
void ccp_codec_settle(lua_State *L, ccp_ctx *ctx);

#endif
