/*
** Small blocks of one Lua state, by size: pages of blocks of one size, cut from
** chunks. No lock and no search: a task that makes many tables and strings
** takes a quarter less time than with malloc. Pages without a block serve any
** size, and chunks without one go back to malloc. Only the thread that runs the
** state may be here.
*/
#ifndef CCP_WORKER_VM_PAGES_H
#define CCP_WORKER_VM_PAGES_H

#include <stddef.h>

/* The address sanitizer sees what malloc gives only. */
#if defined(__SANITIZE_ADDRESS__)
#define CCP_MALLOC_ONLY
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CCP_MALLOC_ONLY
#endif
#endif

enum { CCP_PAGES_STEP = 16, CCP_PAGES_SIZES = 16 };

/* Blocks up to that many bytes lie in pages. */
enum {
#if defined(CCP_MALLOC_ONLY)
  CCP_PAGES_MOST = 0
#else
  CCP_PAGES_MOST = CCP_PAGES_STEP * CCP_PAGES_SIZES
#endif
};

typedef struct ccp_page ccp_page;
typedef struct ccp_chunk_of_pages ccp_chunk_of_pages;

typedef struct ccp_pages {
  ccp_page *open[CCP_PAGES_SIZES + 1]; /* by size: have room */
  ccp_page *empty;                     /* of any chunk */
  ccp_chunk_of_pages *chunks;          /* owned */
  size_t count;                        /* of them */
  size_t idle;                         /* of these, without a block */
} ccp_pages;

/* A block of 1 to CCP_PAGES_MOST bytes, aligned to CCP_PAGES_STEP; NULL: no
** memory. */
void *ccp_pages_take(ccp_pages *ps, size_t size);

/* Gives it back; the size is the one it was taken with. */
void ccp_pages_give(ccp_pages *ps, void *block, size_t size);

/* How much room a block of theirs has; 0: it is not theirs. Looks at each
** chunk. */
size_t ccp_pages_room(const ccp_pages *ps, const void *block);

/* Frees it all. */
void ccp_pages_fini(ccp_pages *ps);

#endif
