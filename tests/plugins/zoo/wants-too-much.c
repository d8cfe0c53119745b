/* Does not start without an extension that it only wants. */
#include "zoo.h"
static rap_result start(rap_adapter* a) {
  (void)a;
  if (zoo_table(RAP_HOST_LOOP)) return RAP_OK;
  return zoo_host->fail(zoo_host, RAP_E_UNSUPPORTED, "zoo: no loop");
}
#define ZOO_START start
#include "zoo_plugin.h"
