// Lists in pages: ?limit= and ?cursor=.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

#include "base/result.hpp"
#include "controlplane/http/call.hpp"

namespace rap::cp {

// 200 rows of the largest entity stay below the 1 MiB that a client must be ready to take.
inline constexpr std::int64_t kPageMax = 200;
inline constexpr std::int64_t kPageDefault = 50;

struct Page {
  std::int64_t limit = kPageDefault;
  std::string after;  // rows whose key is greater; empty: from the start

  // What to ask the database for: one more row tells whether there is a next page.
  std::int64_t fetch() const { return limit + 1; }
};

// From the query of `request`; refuses a limit or a cursor that is none.
Page page_of(const Request& request);

// `rows` has at most page.fetch() rows in the order of `key`.
Reply page_reply(const Page& page, const Rows& rows,
                 const std::function<boost::json::object(const Row&)>& to_json,
                 std::string_view key = "id");

}  // namespace rap::cp
