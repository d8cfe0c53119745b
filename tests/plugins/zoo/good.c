/* The control: nothing replaced, passes everything. */
#include "zoo.h"
#include "zoo_plugin.h"
