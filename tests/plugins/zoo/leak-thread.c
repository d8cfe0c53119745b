/* A thread of its own is still running when `stop` returns (T4). */
#include <pthread.h>
#include <unistd.h>

#include "zoo.h"
static void* forever(void* arg) {
  for (;;) pause();
  return arg;
}
static rap_result start(rap_adapter* a) {
  pthread_t thread;
  (void)a;
  return pthread_create(&thread, 0, forever, 0) == 0 ? RAP_OK : RAP_E_RESOURCE;
}
#define ZOO_START start
#include "zoo_plugin.h"
