/*
** The arena: one sparse shared mapping per program, made before the first
** fork, so that all processes of the family see a block at one address.
**
** Blocks are powers of two, large ones quarters of them, and never move, split
** or merge. A process may die at any instruction in here: at worst the block in
** its hands is lost.
*/
#ifndef CCP_SHARED_ARENA_H
#define CCP_SHARED_ARENA_H

#include <stdatomic.h>
#include <stddef.h>

/* Reserves the arena, once. CCPOOL_ARENA sets its size in bytes (K, M, G
** behind it are known); where the system refuses, a smaller one is taken.
** CCP_OK or CCP_E_NOMEM. Any thread. */
int ccp_arena_open(void);

/* A block of at least 'len' bytes, of unspecified content, aligned to 64, or
** NULL when the arena is full. *room gets its real size if room is not NULL.
** Any thread, any process; lock-free. Give back with ccp_arena_free. */
void *ccp_arena_alloc(size_t len, size_t *room);

/* The same, but every byte of it is 0. Pages nobody writes to cost nothing. */
void *ccp_arena_alloc_zeroed(size_t len);

/* Does so to a block of that length that was just allocated: for who notes a
** large one as its own first, since this may take a while to die in. */
void ccp_arena_zero(void *block, size_t len);

/* One word, at first NULL, that all processes of the family see: where what
** lies in the arena begins. NULL without an arena. */
_Atomic(void *) *ccp_arena_root(void);

/* Gives a block back; NULL is ignored. Any process of the family. */
void ccp_arena_free(void *block);

/* True if 'block' is a block in use with room for 'len' bytes: for pointers
** that come from memory others write. */
int ccp_arena_valid(const void *block, size_t len);

/* The same block for who takes it over from a reader. */
void *ccp_arena_own(const void *block);

/* Bytes reserved, bytes ever handed out from the fresh end, bytes that lie
** free but keep their pages. */
void ccp_arena_stats(size_t *reserved, size_t *used, size_t *warm);

#endif
