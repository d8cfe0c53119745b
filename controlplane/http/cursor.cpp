#include "controlplane/http/cursor.hpp"

#include "base/bytes.hpp"

namespace rap::cp {
namespace {

constexpr std::string_view kCursorMark = "1:";
constexpr std::size_t kCursorKeyMax = 64;

}  // namespace

std::string make_cursor(std::string_view key) {
  return to_base64url(as_bytes(std::string(kCursorMark) + std::string(key)));
}

Result<std::string> parse_cursor(std::string_view cursor) {
  if (cursor.size() > 2 * kCursorKeyMax) return fail(Errc::too_large, "cursor");
  const auto bytes = from_base64url(cursor);
  if (!bytes) return fail(Errc::malformed, "not a cursor of ours");
  std::string_view text = as_text(*bytes);
  if (!text.starts_with(kCursorMark)) return fail(Errc::malformed, "not a cursor of ours");
  text.remove_prefix(kCursorMark.size());
  if (text.empty() || text.size() > kCursorKeyMax) {
    return fail(Errc::malformed, "not a cursor of ours");
  }
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    if (!plain) return fail(Errc::malformed, "not a cursor of ours");
  }
  return std::string(text);
}

}  // namespace rap::cp
