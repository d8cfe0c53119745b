/* Claims four thousand million adapters and has one. */
#include "zoo.h"
#define ZOO_COUNT 0xffffffffu
#include "zoo_plugin.h"
