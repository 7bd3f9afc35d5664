/*
** The store of dumped functions as the codec sees it; whoever keeps one need
** know nothing of Lua.
*/
#ifndef CCP_CODEC_FUNCS_H
#define CCP_CODEC_FUNCS_H

#include <stddef.h>
#include <stdint.h>

/* Where dumped functions are kept once per pool. A NULL ccp_funcs means that
** every dump lies in its message. */
typedef struct ccp_funcs {
  void *ud; /* borrowed: handed to put and get */
  /* Keeps a copy of the dump, whose hash is given; the same bytes give the
  ** same id. CCP_OK, or CCP_E_FULL: then the dump is sent inline. Other codes
  ** end the encoding and are its result. */
  int (*put)(void *ud, const void *dump, size_t len, uint64_t hash,
             uint64_t *id);
  /* The dump behind an id, borrowed until the decoding has ended. CCP_OK or
  ** CCP_E_BADDATA. */
  int (*get)(void *ud, uint64_t id, const void **dump, size_t *len);
  uint64_t uid;  /* names this store among all of this program; never 0 */
  int elsewhere; /* who decodes what is encoded with it is another process */
} ccp_funcs;

/* Keeps nothing, like NULL; but only who made this state will decode: it knows
** what this state has from it. */
extern const ccp_funcs ccp_funcs_home;

#endif
