/*
** Small blocks of one Lua state. Only the thread that runs it is here.
*/
#include "worker/vm_pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
  PAGE = 8 << 10, /* bytes; a page is aligned to that, a block finds its page */
  PAGES = 31,     /* of a chunk */
  IDLE_MOST = 1   /* chunks without a block that are kept */
};

struct ccp_page {
  ccp_page *next, *prev;     /* in its list: open for its size, or empty */
  ccp_chunk_of_pages *chunk; /* borrowed */
  unsigned char *given;      /* blocks given back, each names the next */
  uint32_t used;             /* blocks in use */
  uint32_t step;             /* bytes from one to the next */
  uint32_t fresh;            /* where those begin that were never taken */
};

/* Lies before the pages that it counts. */
struct ccp_chunk_of_pages {
  ccp_chunk_of_pages *next, *prev;
  uint32_t used; /* pages that are not empty */
  uint32_t cut;  /* pages that were ever in use */
};

enum {
  HEAD =
      (sizeof(ccp_page) + CCP_PAGES_STEP - 1) / CCP_PAGES_STEP * CCP_PAGES_STEP
};

static unsigned kind(size_t size) {
  return (unsigned)((size + CCP_PAGES_STEP - 1) / CCP_PAGES_STEP);
}

static int is_full(const ccp_page *g) {
  return g->given == NULL && g->fresh + g->step > PAGE;
}

static void link_page(ccp_page **list, ccp_page *g) {
  g->prev = NULL;
  g->next = *list;
  if (g->next != NULL)
    g->next->prev = g;
  *list = g;
}

static void unlink_page(ccp_page **list, ccp_page *g) {
  if (g->prev != NULL)
    g->prev->next = g->next;
  else
    *list = g->next;
  if (g->next != NULL)
    g->next->prev = g->prev;
}

/* --- chunks --- */

/* The i-th page, from 0. */
static void *page_at(ccp_chunk_of_pages *c, uint32_t i) {
  unsigned char *end = (unsigned char *)(c + 1) + PAGE - 1;
  return end - (uintptr_t)end % PAGE + (size_t)PAGE * i;
}

/* Not by aligned_alloc: what was one chunk has no room for another then, and
** malloc gathers holes of that size. */
static ccp_chunk_of_pages *new_chunk(ccp_pages *ps) {
  ccp_chunk_of_pages *c = malloc(sizeof *c + (size_t)PAGE * (PAGES + 1));
  if (c == NULL)
    return NULL;
  c->used = c->cut = 0;
  c->prev = NULL;
  c->next = ps->chunks;
  if (c->next != NULL)
    c->next->prev = c;
  ps->chunks = c;
  ps->count++;
  ps->idle++;
  return c;
}

/* The next page of a chunk that has never been in use, as an empty one: pages
** are touched when they are needed. */
static ccp_page *cut_page(ccp_pages *ps) {
  ccp_chunk_of_pages *c = ps->chunks; /* those behind it are all cut */
  if (c == NULL || c->cut == PAGES)
    c = new_chunk(ps);
  if (c == NULL)
    return NULL;
  ccp_page *g = page_at(c, c->cut++);
  g->chunk = c;
  return g;
}

/* All its pages are empty. */
static void free_chunk(ccp_pages *ps, ccp_chunk_of_pages *c) {
  for (uint32_t i = 0; i < c->cut; i++)
    unlink_page(&ps->empty, page_at(c, i));
  if (c->prev != NULL)
    c->prev->next = c->next;
  else
    ps->chunks = c->next;
  if (c->next != NULL)
    c->next->prev = c->prev;
  ps->count--;
  ps->idle--;
  free(c);
}

/* --- pages --- */

static ccp_page *open_page(ccp_pages *ps, unsigned which) {
  ccp_page *g = ps->empty;
  if (g != NULL)
    unlink_page(&ps->empty, g);
  else
    g = cut_page(ps);
  if (g == NULL)
    return NULL;
  if (g->chunk->used++ == 0)
    ps->idle--;
  g->given = NULL;
  g->used = 0;
  g->step = which * CCP_PAGES_STEP;
  g->fresh = HEAD;
  link_page(&ps->open[which], g);
  return g;
}

/* It has no block any more. */
static void close_page(ccp_pages *ps, unsigned which, ccp_page *g) {
  ccp_chunk_of_pages *c = g->chunk;
  unlink_page(&ps->open[which], g);
  link_page(&ps->empty, g);
  if (--c->used > 0)
    return;
  if (++ps->idle > IDLE_MOST)
    free_chunk(ps, c);
}

void *ccp_pages_take(ccp_pages *ps, size_t size) {
  unsigned which = kind(size);
  ccp_page *g = ps->open[which];
  if (g == NULL && (g = open_page(ps, which)) == NULL)
    return NULL;
  unsigned char *p = g->given;
  if (p != NULL) {
    memcpy(&g->given, p, sizeof g->given);
  } else {
    p = (unsigned char *)g + g->fresh;
    g->fresh += g->step;
  }
  g->used++;
  if (is_full(g))
    unlink_page(&ps->open[which], g);
  return p;
}

void ccp_pages_give(ccp_pages *ps, void *block, size_t size) {
  unsigned which = kind(size);
  void *at = (unsigned char *)block - (uintptr_t)block % PAGE;
  ccp_page *g = at;
  int full = is_full(g);
  memcpy(block, &g->given, sizeof g->given);
  g->given = block;
  if (full)
    link_page(&ps->open[which], g);
  if (--g->used == 0)
    close_page(ps, which, g);
}

size_t ccp_pages_room(const ccp_pages *ps, const void *block) {
  uintptr_t at = (uintptr_t)block;
  for (ccp_chunk_of_pages *c = ps->chunks; c != NULL; c = c->next) {
    uintptr_t first = (uintptr_t)page_at(c, 0);
    if (at >= first && at < first + (uintptr_t)PAGE * c->cut) {
      const ccp_page *g = page_at(c, (uint32_t)((at - first) / PAGE));
      return g->step;
    }
  }
  return 0;
}

void ccp_pages_fini(ccp_pages *ps) {
  while (ps->chunks != NULL) {
    ccp_chunk_of_pages *c = ps->chunks;
    ps->chunks = c->next;
    free(c);
  }
}
