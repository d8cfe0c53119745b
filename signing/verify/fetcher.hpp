// Where a TUF client gets bytes from: the seam between the workflow and the network.
#pragma once

#include <functional>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace rap::tuf {

// Synchronous on purpose: the workflow is a strict sequence of waits. Asynchronous programs run the
// whole client on a blocking pool. Everything a fetcher returns is hostile until verified.
//
// Fails with `not_found` when the source says that there is no such file (HTTP 403 and 404; nothing
// else may map to it: it ends the search for a newer root), `too_large`, `timeout` (deadline, or
// slower than the minimum rate) or `unavailable` (everything else). Follows no redirects.
class Fetcher {
 public:
  using Sink = std::function<Status(ByteView)>;

  virtual ~Fetcher() = default;

  // The whole body, which must not be longer than `max_bytes`; the cap holds while reading.
  virtual Result<Bytes> fetch(const std::string& url, std::size_t max_bytes) = 0;

  // Passes a body of exactly `length` bytes to `sink` in pieces. `mismatch` when the source has
  // fewer or more; the sink may have seen up to `length` bytes then. Stops at the sink's first
  // failure and returns it.
  virtual Status fetch_to(const std::string& url, std::uint64_t length, const Sink& sink) = 0;
};

}  // namespace rap::tuf
