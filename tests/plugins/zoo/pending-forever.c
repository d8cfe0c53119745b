/* `open` says RAP_PENDING and `opened` never comes. */
#include "zoo.h"
static rap_result pending(rap_adapter* a, rap_sink* sink, const rap_session_want* want,
                          rap_session** out);
#define ZOO_OPEN pending
#include "zoo_plugin.h"
static rap_result pending(rap_adapter* a, rap_sink* sink, const rap_session_want* want,
                          rap_session** out) {
  const rap_result result = zoo_open(a, sink, want, out);
  return result == RAP_OK ? RAP_PENDING : result;
}
