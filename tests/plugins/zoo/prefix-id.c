/* Compares only the beginning of an id. */
#include "zoo.h"
static rap_result create(const rap_host* host, const char* id, rap_adapter** out);
#define ZOO_CREATE create
#include "zoo_plugin.h"
static rap_result create(const rap_host* host, const char* id, rap_adapter** out) {
  if (strncmp(id, ZOO_DESC_ID, strlen(ZOO_DESC_ID)) != 0) return RAP_E_UNSUPPORTED;
  return zoo_create(host, ZOO_DESC_ID, out);
}
