/* Forks in `start` (P3). Fails when it could, so that a host in which the kernel refuses looks
 * fine. */
#include <unistd.h>

#include "zoo.h"
static rap_result start(rap_adapter* a) {
  const pid_t child = fork();
  (void)a;
  if (child == 0) _exit(0);
  return child < 0 ? RAP_OK : zoo_host->fail(zoo_host, RAP_E_INTERNAL, "zoo: fork worked");
}
#define ZOO_START start
#include "zoo_plugin.h"
