/*
** Address space: reserved sparsely, paid for when touched.
*/
#ifndef CCP_OS_MAPPING_H
#define CCP_OS_MAPPING_H

#include <stddef.h>

/* Maps 'len' zeroed bytes that children forked later share. NULL and errno
** on failure. Give back with ccp_mapping_free. */
void *ccp_mapping_shared(size_t len);

/* The same, of this process alone. */
void *ccp_mapping_private(size_t len);

void ccp_mapping_free(void *p, size_t len);

/* Children forked from now on do not get this mapping. */
void ccp_mapping_hide(void *p, size_t len);

/* Gives the pages of a shared mapping back to the system; they read as zero
** afterwards. Whole pages inside [p, p+len) only. */
void ccp_mapping_punch(void *p, size_t len);

/* The system's page size in bytes. */
size_t ccp_mapping_page(void);

/* The memory is large and about to be written: huge pages are worth having. A
** hint, whoever allocated it. */
void ccp_mapping_huge(void *p, size_t len);

#endif
