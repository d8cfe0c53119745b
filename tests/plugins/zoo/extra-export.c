/* Exports a second symbol (P4); the build gives it its own version script. */
#include "zoo.h"
#include "zoo_plugin.h"
RAP_EXPORT int zoo_extra(void);
int zoo_extra(void) {
  return 1;
}
