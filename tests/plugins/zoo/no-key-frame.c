/* Sends an ordinary frame where a KEY frame is due (S2). */
#include "zoo.h"
static rap_result attach(rap_session* s, const rap_attach* who) {
  (void)who;
  zoo_emit(s->sink, RAP_FRAME_END, "half\r\n", 6);
  return RAP_OK;
}
#define ZOO_ATTACH attach
#include "zoo_plugin.h"
