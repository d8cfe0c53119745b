#include "controlplane/http/page.hpp"

#include <charconv>

#include <boost/json.hpp>

#include "controlplane/http/cursor.hpp"

namespace rap::cp {

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
