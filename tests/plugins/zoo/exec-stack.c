/* Linked with an executable stack (P4). */
#include "zoo.h"
#include "zoo_plugin.h"
