/* Calls a RAP_LOOP function of the host on a thread of its own (T5). Fails when the host let it. */
#include <pthread.h>

#include "zoo.h"
static void nothing(void* user) {
  (void)user;
}
static void* call(void* out) {
  const rap_host_loop_1* loop = (const rap_host_loop_1*)zoo_table(RAP_HOST_LOOP);
  uint64_t id = 0;
  *(rap_result*)out = loop ? loop->timer(zoo_host, 1000, 0, nothing, 0, &id) : RAP_E_STATE;
  return 0;
}
static rap_result start(rap_adapter* a) {
  pthread_t thread;
  rap_result result = RAP_E_STATE;
  (void)a;
  if (pthread_create(&thread, 0, call, &result) != 0) return RAP_E_RESOURCE;
  pthread_join(thread, 0);
  if (result == RAP_E_STATE) return RAP_OK;
  return zoo_host->fail(zoo_host, RAP_E_INTERNAL, "zoo: timer() worked on a foreign thread");
}
#define ZOO_START start
#include "zoo_plugin.h"
