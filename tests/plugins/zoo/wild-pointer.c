/* Its list of roles points where nothing is mapped. */
#include "zoo.h"
#define ZOO_ROLES ((const char* const*)0x10)
#include "zoo_plugin.h"
