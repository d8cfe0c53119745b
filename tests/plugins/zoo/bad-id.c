/* An id with characters that have no business in one. */
#include "zoo.h"
#define ZOO_DESC_ID "Zoo/../id"
#include "zoo_plugin.h"
