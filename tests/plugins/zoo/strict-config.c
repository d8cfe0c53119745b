/* Another control: its schema says exactly what it takes. */
#include "zoo.h"
#define ZOO_SCHEMA                                                                    \
  "{\"type\":\"object\",\"additionalProperties\":false,"                              \
  "\"properties\":{\"port\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535}}," \
  "\"$defs\":{\"session\":{\"type\":\"object\",\"additionalProperties\":false,"       \
  "\"properties\":{\"user\":{\"$ref\":\"#/$defs/name\"}}},"                           \
  "\"name\":{\"type\":\"string\",\"minLength\":1}}}"
#include "zoo_plugin.h"
