// Bytes that must not stay behind in memory.
#pragma once

#include <string_view>

#include "base/bytes.hpp"

namespace rap {

// Owns a secret; wipes it when destroyed, moved from or assigned. Cannot be copied or logged.
class Secret {
 public:
  Secret() = default;
  explicit Secret(Bytes value) : value_(std::move(value)) {}
  explicit Secret(std::string_view text) : value_(to_bytes(text)) {}
  ~Secret();
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;

  ByteView bytes() const { return value_; }
  std::string_view text() const { return as_text(value_); }
  bool empty() const { return value_.empty(); }

 private:
  Bytes value_;
};

// Overwrites in a way the compiler may not drop.
void wipe(std::span<std::uint8_t> bytes);
void wipe(std::string& text);

}  // namespace rap
