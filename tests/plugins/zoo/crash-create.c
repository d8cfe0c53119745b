/* Aborts in `create` (E1). */
#include "zoo.h"
static rap_result create(const rap_host* host, const char* id, rap_adapter** out) {
  (void)host, (void)id, (void)out;
  abort();
}
#define ZOO_CREATE create
#include "zoo_plugin.h"
