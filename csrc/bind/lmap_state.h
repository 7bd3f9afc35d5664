/*
** A map's inside, for the lmap files only.
*/
#ifndef CCP_BIND_LMAP_STATE_H
#define CCP_BIND_LMAP_STATE_H

#include "bind/lexecutor.h"

enum ccp_map_values { /* user values */
                      CCP_MAP_SOURCE = 1,
                      CCP_MAP_FAILED, /* the error to raise when all before it
                                         is given */
                      CCP_MAP_EXECUTOR
};

/* How far the call is that fills a chunk. */
enum ccp_map_filling { CCP_MAP_CALLED = 1, CCP_MAP_BUSY, CCP_MAP_FILLED };

typedef struct ccp_map {
  uint32_t magic;
  uint32_t epoch;
  ccp_executor *ex;   /* borrowed: user value CCP_MAP_EXECUTOR anchors it */
  ccp_handle *handle; /* borrowed and counted; NULL: runs inline */
  ccp_buf fn;         /* message of the function */
  ccp_buf body;       /* the chunk in the making */
  size_t body_good;   /* of it, the bytes of whole items */
  uint32_t body_items;
  ccp_chunk *first, *last;             /* by 'behind': to be read, or unread */
  ccp_chunk *ready_first, *ready_last; /* unordered: by 'ready', with news */
  ccp_chunk *current;                  /* unordered: being read, or NULL */
  uint64_t pulled, yielded;            /* items */
  lua_Integer n;                       /* of an array; -1: iterator */
  int64_t begun_ns, deadline_ns;
  uint32_t chunksize;    /* 0: ours to choose */
  uint64_t buffersize;   /* 0: no bound */
  uint64_t places;       /* items that the executor takes now */
  const ccp_rules *view; /* borrowed from CCP_MAP_EXECUTOR; or NULL */
  uint8_t ordered, returns_errors, star;
  uint8_t exhausted; /* the source has no more */
  uint8_t
      source_failed; /* user value CCP_MAP_FAILED is the error to raise then */
  uint8_t filling;   /* ccp_map_filling, or 0: the source is not running */
  uint8_t closing;   /* closed meanwhile */
  uint8_t closed;
} ccp_map;

/* Cancels what has not started and lets go of everything. Idempotent. */
void ccp_map_close(ccp_map *m);

/* Adds a chunk to those to be read. */
void ccp_map_append(ccp_map *m, ccp_chunk *c);

/* lmap_reply.c. Pushes the next reply of the chunk, which has one, behind the
** index of its item if `with_index`; below it there may be its owner. Returns
** how many values, without the index; or -1, and nothing pushed: what ran
** meanwhile has taken that reply, or closed the map. Raises the item's error.
*/
int ccp_map_give(lua_State *L, ccp_map *m, ccp_chunk *c, int with_index);

/* lmap_source.c. Pulls items and submits them, as long as there is room. Stack
** index 1: the map. An error of the source or of an item is kept for later. */
void ccp_map_fill(lua_State *L, ccp_map *m);

#endif
