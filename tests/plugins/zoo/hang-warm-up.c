/* `warm_up` never returns (T3). */
#include <unistd.h>

#include "zoo.h"
static rap_result warm_up(void) {
  for (;;) pause();
  return RAP_OK;
}
#define ZOO_WARM_UP warm_up
#include "zoo_plugin.h"
