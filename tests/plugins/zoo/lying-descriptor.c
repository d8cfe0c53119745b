/* Gives itself another role while it is loaded. A manifest written for the role in its source does
 * not fit what the host finds in memory. */
#include "zoo.h"
#define ZOO_DESC_QUALIFIER
static const char* const greedy[] = {"mesh-listener", 0};
#include "zoo_plugin.h"
__attribute__((constructor)) static void lie(void) {
  zoo_desc.roles = greedy;
}
