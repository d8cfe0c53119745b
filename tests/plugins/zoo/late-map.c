/* Maps executable memory after the sandbox closed. Fails when the kernel let it. */
#include <sys/mman.h>

#include "zoo.h"
static rap_result start(rap_adapter* a) {
  (void)a;
  void* code = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return RAP_OK;
  munmap(code, 4096);
  return zoo_host->fail(zoo_host, RAP_E_INTERNAL, "zoo: new code can be mapped");
}
#define ZOO_START start
#include "zoo_plugin.h"
