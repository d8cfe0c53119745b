/* Linked with a run path (P4). */
#include "zoo.h"
#include "zoo_plugin.h"
