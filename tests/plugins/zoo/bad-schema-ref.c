/* A configuration schema that refers to itself: whoever follows it never ends. */
#include "zoo.h"
#define ZOO_SCHEMA "{\"$ref\":\"#\"}"
#include "zoo_plugin.h"
