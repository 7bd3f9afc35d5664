/*
** Executors, for the files of this folder.
*/
#ifndef CCP_BIND_LEXECUTOR_H
#define CCP_BIND_LEXECUTOR_H

#include "bind/lclient.h"

typedef struct ccp_executor {
  uint32_t magic;
  uint32_t max_workers;
  ccp_client *client; /* borrowed: anchored in the registry */
  ccp_handle *handle; /* borrowed; NULL: runs inline */
  int shut;           /* runs inline: takes no more */
  ccp_pool_counts inline_counts;
} ccp_executor;

/* The executor behind argument 'arg': the object's table holds it at 1. */
ccp_executor *ccp_executor_check(lua_State *L, int arg);

/* Raises the error that a submit to this executor gave. */
int ccp_executor_raise(lua_State *L, ccp_executor *ex, int code);

/* Checks that argument 'arg' is something a worker can call. */
void ccp_check_target(lua_State *L, int arg);

/* Adds the functions to the module table on top of the stack. */
void ccp_executor_functions(lua_State *L);
void ccp_map_functions(lua_State *L);

#endif
