/* Every input frame is answered with 100000 frames, whatever the host says about its queue. */
#include "zoo.h"
static rap_result input(rap_session* s, uint64_t id, const rap_frame* f, uint32_t n) {
  static const char noise[1024] = "flood";
  (void)id, (void)f, (void)n;
  for (int i = 0; i < 100000; ++i) zoo_emit(s->sink, RAP_FRAME_END, noise, sizeof noise);
  return RAP_OK;
}
#define ZOO_INPUT input
#include "zoo_plugin.h"
