/* Writes its out parameter and then fails (E2). */
#include "zoo.h"
static rap_result create(const rap_host* host, const char* id, rap_adapter** out);
#define ZOO_CREATE create
#include "zoo_plugin.h"
static rap_result create(const rap_host* host, const char* id, rap_adapter** out) {
  const rap_result result = zoo_create(host, id, out);
  if (result != RAP_OK) *out = &zoo_adapter;
  return result;
}
