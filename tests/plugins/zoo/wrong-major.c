/* Built for a major nobody speaks, under the symbol of major 1. */
#include "zoo.h"
#define ZOO_MAJOR 2
#include "zoo_plugin.h"
