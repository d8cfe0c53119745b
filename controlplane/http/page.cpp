#include "controlplane/http/page.hpp"

#include <charconv>

#include <boost/json.hpp>

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

Page page_of(const Request& request) {
  Page page;
  if (const auto limit = request.query("limit")) {
    const char* end = limit->data() + limit->size();
    const auto [stop, error] = std::from_chars(limit->data(), end, page.limit);
    if (error != std::errc() || stop != end || page.limit < 1 || page.limit > kPageMax) {
      refuse(Errc::invalid, "limit: from 1 to 200");
    }
  }
  if (const auto cursor = request.query("cursor")) page.after = require(parse_cursor(*cursor));
  return page;
}

Reply page_reply(const Page& page, const Rows& rows,
                 const std::function<boost::json::object(const Row&)>& to_json,
                 std::string_view key) {
  boost::json::array items;
  const auto count = std::min<std::size_t>(rows.size(), static_cast<std::size_t>(page.limit));
  for (std::size_t i = 0; i < count; ++i) items.push_back(to_json(rows[i]));
  boost::json::object body;
  body["items"] = std::move(items);
  body["next_cursor"] = nullptr;
  if (rows.size() > count) body["next_cursor"] = make_cursor(rows[count - 1].text(key));
  return json_reply(200, body);
}

}  // namespace rap::cp
