#include "base/commandline/standard_output.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

#include "base/file.hpp"

namespace rap::commandline {

void prepare_standard_streams() {
  ::signal(SIGPIPE, SIG_IGN);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // Takes the lowest free number, which is this one. The wrong way round: using it stays an
    // error.
    ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

int finish_standard_output(const std::string& program, int status) {
  errno = 0;
  std::cout.flush();
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
  if (written || status != 0) return status;
  // What failed in the middle of a long text may have left no reason.
  std::cerr << program << ": standard output takes no more"
            << (errno == 0 ? "" : ": " + errno_text(errno)) << "\n";
  return 1;
}

}  // namespace rap::commandline
