/* A configuration schema that is not JSON. */
#include "zoo.h"
#define ZOO_SCHEMA "{\"type\":\"object\""
#include "zoo_plugin.h"
