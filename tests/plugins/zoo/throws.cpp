// Lets an exception out of `start` (E1).
#include <stdexcept>

extern "C" {
#include "zoo.h"
}
static rap_result start(rap_adapter*) {
  throw std::runtime_error("zoo");
}
#define ZOO_START start
extern "C" {
#include "zoo_plugin.h"
}
