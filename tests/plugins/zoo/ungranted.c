/* Asks for a host extension its descriptor does not list. Fails when it gets one. */
#include "zoo.h"
static rap_result start(rap_adapter* a) {
  (void)a;
  if (!zoo_table(RAP_HOST_SECRET) && !zoo_table(RAP_HOST_STREAM)) return RAP_OK;
  return zoo_host->fail(zoo_host, RAP_E_INTERNAL, "zoo: got what it was not granted");
}
#define ZOO_START start
#include "zoo_plugin.h"
