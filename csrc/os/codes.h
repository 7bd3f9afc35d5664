/*
** Result codes of every function below csrc/bind: CCP_OK or one CCP_E*.
** Nothing below bind prints, aborts or raises; bind/lerror.c alone turns
** codes into error objects.
*/
#ifndef CCP_OS_CODES_H
#define CCP_OS_CODES_H

enum {
  CCP_OK = 0,
  CCP_E_NOMEM = -1,       /* allocation failed */
  CCP_E_SYS = -2,         /* a system call failed: errno tells */
  CCP_E_TIMEOUT = -3,     /* the deadline passed */
  CCP_E_INTR = -4,        /* a signal interrupted the wait */
  CCP_E_FULL = -5,        /* no room now */
  CCP_E_CLOSED = -6,      /* shut down: takes no more */
  CCP_E_BROKEN = -7,      /* a pool that cannot go on */
  CCP_E_NOTSENDABLE = -8, /* a value that cannot travel */
  CCP_E_BADDATA = -9,     /* bytes that no encoder wrote */
  CCP_E_NOTHELD = -10,    /* a lock that is not held, or not by the caller */
  CCP_E_DEADLOCK = -11    /* nobody could ever end the wait */
};

#endif
