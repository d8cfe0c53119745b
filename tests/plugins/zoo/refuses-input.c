/* Refuses every input with words, as a session in C++ does whose input() throws. */
#include "zoo.h"
static rap_result input(rap_session* s, uint64_t id, const rap_frame* f, uint32_t n) {
  (void)s, (void)id, (void)f, (void)n;
  return zoo_host->fail(zoo_host, RAP_E_INTERNAL, "my own words");
}
#define ZOO_INPUT input
#include "zoo_plugin.h"
