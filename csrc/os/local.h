/*
** Variables of which each thread has its own.
*/
#ifndef CCP_OS_LOCAL_H
#define CCP_OS_LOCAL_H

#include <limits.h> /* says whether it is glibc's */

/* Each is initialized with zeros. glibc keeps a little room in every thread for
** libraries that are loaded late: there no thread needs a malloc for ours. Keep
** them few and small. */
#if defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define CCP_LOCAL _Thread_local
#else
#define CCP_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))
#endif

#endif
