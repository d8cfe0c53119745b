// TCP connections that a process of the node makes for others of it: so many at once, and none of
// those for whom it does so can take all places.
#pragma once

#include <map>
#include <string>

#include "base/file.hpp"
#include "base/net/task.hpp"
#include "base/result.hpp"

namespace rap::net {

struct DialLimits {
  std::size_t all = 64;  // at once
  std::size_t of_share = 16;
  milliseconds timeout_max{30'000};
};

// One executor; outlives its dials.
class Dialler {
 public:
  explicit Dialler(DialLimits limits = {}) : limits_(limits) {}

  // A connected socket. `share`: in whose name, an organization; empty: that of `host`, which is
  // all that can be told apart then. Fails with `invalid` (host of 1 to 253 bytes, port),
  // `exhausted`, `unavailable`, `timeout`: details name no address. Throws only `cancelled`.
  Task<Result<Fd>> dial(std::string host, std::uint16_t port, milliseconds timeout,
                        std::string share);

  std::size_t under_way() const { return all_; }

 private:
  const DialLimits limits_;
  std::size_t all_ = 0;
  std::map<std::string, std::size_t> of_;  // by share
};

}  // namespace rap::net
