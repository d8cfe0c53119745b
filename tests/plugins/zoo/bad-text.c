/* The first input frame ends the session with a text that is no UTF-8 and is cut inside a
 * character. */
#include "zoo.h"
static rap_result input(rap_session* s, uint64_t id, const rap_frame* f, uint32_t n) {
  const rap_host_session_1* host =
      (const rap_host_session_1*)zoo_host->get_extension(zoo_host, RAP_HOST_SESSION);
  static char text[600];
  (void)id, (void)f, (void)n;
  memset(text, 'x', sizeof text);
  memcpy(text, "\xff\x80", 2);
  memcpy(text + 511, "\xe4\xb8\xad", 3); /* the host keeps 512 bytes */
  const rap_str detail = {text, sizeof text};
  host->closed(s->sink, RAP_E_GONE, detail);
  return RAP_OK;
}
#define ZOO_INPUT input
#include "zoo_plugin.h"
