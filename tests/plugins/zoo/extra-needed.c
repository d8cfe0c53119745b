/* Needs a library its manifest does not name: the manifest of `good` with this digest. */
#include "zoo.h"
#include "zoo_plugin.h"
