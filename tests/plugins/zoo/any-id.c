/* Makes its adapter for every id it is asked for. */
#include "zoo.h"
static rap_result create(const rap_host* host, const char* id, rap_adapter** out);
#define ZOO_CREATE create
#include "zoo_plugin.h"
static rap_result create(const rap_host* host, const char* id, rap_adapter** out) {
  (void)id;
  return zoo_create(host, ZOO_DESC_ID, out);
}
