#include "base/result.hpp"

#include <iterator>

namespace rap {

namespace {

constexpr std::string_view kNames[] = {
    "invalid",     "malformed", "too_large",     "not_found", "conflict", "unauthorized",
    "forbidden",   "expired",   "bad_signature", "rollback",  "mismatch", "unsupported",
    "unavailable", "timeout",   "exhausted",     "cancelled", "internal"};

}  // namespace

std::string_view name(Errc code) {
  return kNames[static_cast<std::size_t>(code)];
}

Errc errc_from_name(std::string_view text) {
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == text) return static_cast<Errc>(i);
  }
  return Errc::internal;
}

std::string Error::text() const {
  return std::string(name(code)) + ": " + detail;
}

}  // namespace rap
