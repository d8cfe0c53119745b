/* Some other library that happens to export the name. */
#include "zoo.h"
#define ZOO_MAGIC 0x464c457fu
#include "zoo_plugin.h"
