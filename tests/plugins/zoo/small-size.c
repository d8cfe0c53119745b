/* Claims a table smaller than the first release had. */
#include "zoo.h"
#define ZOO_SIZE 12
#include "zoo_plugin.h"
