/*
** How far the array part of a table reaches. Any state of the program; the
** thread of the state.
**
** What lies there lua_next passes first and in order, so the items can be read
** by index, and whatever else the table holds follows the last of them. Lua's
** interface does not tell, and reading an array with lua_next alone costs twice
** as much.
*/
#ifndef CCP_CODEC_PART_H
#define CCP_CODEC_PART_H

#include <string.h>

#include <lua.h>

/* Where this version of Lua says it. Nothing relies on that until it has been
** tried on tables made for it: see ccp_part_known. */
typedef struct ccp_part_head {
  void *next;
  unsigned char tag, marked, flags, log2;
  unsigned int size; /* the array part has at least that many places */
} ccp_part_head;

/* Does this program's Lua keep it there? Tried once; may raise memory errors.
** Needs 3 free slots. */
int ccp_part_known(lua_State *L);

/* Of the table at idx, if it is known. */
static inline unsigned int ccp_part_size(lua_State *L, int idx) {
  ccp_part_head head;
  memcpy(&head, lua_topointer(L, idx), sizeof head);
  return head.size;
}

#endif
