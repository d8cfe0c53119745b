// Ports for tests. A port that was bound once and closed is anybody's: the local end of a
// connection of another test, also of one in another process.
#pragma once

#include <cstdint>

#include "base/file.hpp"

namespace rap::test {

// A loopback port for a server that is started later: outside the range from which the kernel takes
// the local ports of connections, and not given to anybody else who asks here, or
// devtools.process.free_port, until this process ends.
std::uint16_t free_port();

// A loopback port at which nobody listens, and nobody can while this lives: whoever connects is
// refused.
class ClosedPort {
 public:
  ClosedPort();
  std::uint16_t number() const { return number_; }

 private:
  Fd bound_;
  std::uint16_t number_ = 0;
};

}  // namespace rap::test
