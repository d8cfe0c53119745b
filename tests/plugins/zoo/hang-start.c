/* `start` never returns (T3). */
#include <unistd.h>

#include "zoo.h"
static rap_result start(rap_adapter* a) {
  (void)a;
  for (;;) pause();
  return RAP_OK;
}
#define ZOO_START start
#include "zoo_plugin.h"
