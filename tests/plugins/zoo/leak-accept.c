/* Takes every connection and never closes one. */
#include "zoo.h"
static rap_result keep(rap_adapter* a, int fd, const rap_incoming* from) {
  (void)a, (void)fd, (void)from;
  return RAP_OK;
}
static const rap_adapter_accept_1 accept_table = {keep};
static const void* extension(rap_adapter* a, const char* id) {
  (void)a;
  return strcmp(id, RAP_ADAPTER_ACCEPT) == 0 ? &accept_table : 0;
}
#define ZOO_EXTENSION extension
#define ZOO_PROVIDES RAP_ADAPTER_ACCEPT
#include "zoo_plugin.h"
