/* Linked for lazy binding (P4). */
#include "zoo.h"
#include "zoo_plugin.h"
