/* Opens an internet socket and connects by itself (P1). Fails when the kernel let it. */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zoo.h"
static rap_result start(rap_adapter* a) {
  struct sockaddr_in to;
  (void)a;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return RAP_OK;
  memset(&to, 0, sizeof to);
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int got = connect(fd, (struct sockaddr*)&to, sizeof to);
  const int why = errno;
  close(fd);
  /* Nobody listens on port 9: "refused" by the peer means the network was reached. */
  if (got == 0 || why == ECONNREFUSED) {
    return zoo_host->fail(zoo_host, RAP_E_INTERNAL, "zoo: the network can be reached");
  }
  return RAP_OK;
}
#define ZOO_START start
#include "zoo_plugin.h"
