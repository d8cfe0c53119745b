/* Reads a file of the machine in `start` (P3). Fails when the kernel let it. */
#include <fcntl.h>
#include <unistd.h>

#include "zoo.h"
static rap_result start(rap_adapter* a) {
  (void)a;
  const int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return RAP_OK;
  close(fd);
  return zoo_host->fail(zoo_host, RAP_E_INTERNAL, "zoo: /etc/passwd can be read");
}
#define ZOO_START start
#include "zoo_plugin.h"
