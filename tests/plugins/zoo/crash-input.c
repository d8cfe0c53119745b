/* The first input frame kills the process. */
#include "zoo.h"
static rap_result input(rap_session* s, uint64_t id, const rap_frame* f, uint32_t n) {
  volatile int* nowhere = 0;
  (void)s, (void)id, (void)f, (void)n;
  *nowhere = 1;
  return RAP_OK;
}
#define ZOO_INPUT input
#include "zoo_plugin.h"
