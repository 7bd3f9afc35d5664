/*
** Which of a state's buffers are in use. From when a message is begun until it
** is where it belongs, a `save` or a finalizer may run and send something else:
** that has a buffer of its own. The thread of the Lua state.
**
** What runs meanwhile runs deeper in the C stack. So a draft that was begun no
** higher than where the next one is begun is no more: an error ended it.
*/
#ifndef CCP_BIND_LDRAFT_H
#define CCP_BIND_LDRAFT_H

#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>

enum { CCP_DRAFTS = 8 };

typedef struct ccp_drafts {
  uintptr_t frames[CCP_DRAFTS]; /* where each was begun: from high to low */
  int n;
} ccp_drafts;

/* The frame of the function that this stands in. */
#define CCP_FRAME ((uintptr_t)__builtin_frame_address(0))

/* Was something begun at that frame, and not by what an error ended? */
static inline int ccp_draft_lasts(uintptr_t begun, uintptr_t frame) {
  return begun > frame;
}

/* The number of a draft that is begun at that frame. Raises an error if there
** are too many. */
static inline int ccp_drafts_begin(lua_State *L, ccp_drafts *d,
                                   uintptr_t frame) {
  while (d->n > 0 && !ccp_draft_lasts(d->frames[d->n - 1], frame))
    d->n--;
  if (d->n == CCP_DRAFTS)
    luaL_error(L, "too many values are saved one within the other");
  d->frames[d->n] = frame;
  return d->n++;
}

static inline void ccp_drafts_end(ccp_drafts *d, int number) {
  d->n = number;
}

#endif
