/* `stop` never returns (T3, P6). */
#include <unistd.h>

#include "zoo.h"
static rap_result stop(rap_adapter* a) {
  (void)a;
  for (;;) pause();
  return RAP_OK;
}
#define ZOO_STOP stop
#include "zoo_plugin.h"
