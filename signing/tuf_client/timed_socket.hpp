// A TCP connection whose every wait has a deadline.
#pragma once

#include <chrono>
#include <span>
#include <string>

#include "base/bytes.hpp"
#include "base/file.hpp"
#include "base/result.hpp"

namespace rap::tuf {

// poll(2) does the waiting, not a condition variable: under a faked clock that one never wakes
// (docs/signing.md, conformance).
class TimedSocket {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Tries every address of `host` until one answers. `unavailable` or `timeout`.
  static Result<TimedSocket> connect(const std::string& host, const std::string& port,
                                     TimePoint deadline);

  Status write_all(ByteView bytes, TimePoint deadline);
  // At least one byte, or 0 at the end of the stream.
  Result<std::size_t> read_some(std::span<std::uint8_t> buffer, TimePoint deadline);

 private:
  explicit TimedSocket(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace rap::tuf
