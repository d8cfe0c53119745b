#include "base/id.hpp"

#include <algorithm>
#include <chrono>

#include "base/crypto.hpp"

namespace rap {
namespace {

constexpr std::string_view kCrockford = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t kLength = 26;

}  // namespace

std::string new_id_text(std::string_view prefix) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  auto millis = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  std::string text(kLength, '0');
  for (int i = 9; i >= 0; --i, millis >>= 5)
    text[static_cast<std::size_t>(i)] = kCrockford[millis & 31];
  const Bytes random = random_bytes(16);
  for (std::size_t i = 10; i < kLength; ++i) text[i] = kCrockford[random[i - 10] & 31];
  return std::string(prefix) + text;
}

bool is_id_text(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix) || text.size() != prefix.size() + kLength) return false;
  text.remove_prefix(prefix.size());
  return std::ranges::all_of(text,
                             [](char c) { return kCrockford.find(c) != std::string_view::npos; });
}

}  // namespace rap
