// Wall-clock time behind a seam, and its one text form.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace rap {

// Whole microseconds since the epoch, UTC.
using SystemTime = std::chrono::sys_time<std::chrono::microseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual SystemTime now() const = 0;
};

class RealClock final : public Clock {
 public:
  SystemTime now() const override;
};

// "2026-11-21T19:37:37Z"; RFC 3339, seconds, always Z.
std::string to_rfc3339(SystemTime time);
// Accepts "2026-11-21T19:37:37Z" with an optional fraction; `malformed` otherwise, also for a date
// that does not exist.
Result<SystemTime> from_rfc3339(std::string_view text);

std::int64_t to_unix_seconds(SystemTime time);
SystemTime from_unix_seconds(std::int64_t seconds);

}  // namespace rap
