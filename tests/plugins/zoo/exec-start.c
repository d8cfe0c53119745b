/* Replaces the process in `start` (P3). */
#include <unistd.h>

#include "zoo.h"
static rap_result start(rap_adapter* a) {
  (void)a;
  execl("/bin/true", "true", (char*)0);
  return RAP_OK; /* still here: refused */
}
#define ZOO_START start
#include "zoo_plugin.h"
