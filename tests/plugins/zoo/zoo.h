/* What the bad plugins share: a well-behaved session adapter in plain C whose parts can be
 * replaced.
 *
 * A plugin includes this file, defines some functions, names them in ZOO_* macros, and includes
 * zoo_plugin.h, which fills in the rest. ZOO_ID comes from the build. */
#ifndef ZOO_H
#define ZOO_H
#include <rap/ext/session.h>
#include <stdlib.h>
#include <string.h>

struct rap_session {
  rap_sink* sink;
};

static const rap_host* zoo_host;

static inline const void* zoo_table(const char* id) {
  return zoo_host->get_extension(zoo_host, id);
}

static inline rap_emit zoo_emit(rap_sink* sink, uint16_t flags, const void* data, uint64_t len) {
  const rap_host_session_1* table = (const rap_host_session_1*)zoo_table(RAP_HOST_SESSION);
  rap_frame frame = {RAP_CH_TERMINAL, flags, 0, 0, data, len, {0, 0}};
  rap_emit out;
  memset(&out, 0, sizeof out);
  out.size = sizeof out;
  if (table) table->emit(sink, &frame, 1, &out);
  return out;
}
#endif
