/* Starts a thread while it is loaded (T4). */
#include <pthread.h>
#include <unistd.h>

#include "zoo.h"
static void* forever(void* arg) {
  for (;;) pause();
  return arg;
}
__attribute__((constructor)) static void early(void) {
  pthread_t thread;
  pthread_create(&thread, 0, forever, 0);
}
#include "zoo_plugin.h"
