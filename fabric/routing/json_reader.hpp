// Strict reading of one JSON object: every member is asked for, and a member that nobody asked for
// is an error. Inside fabric/routing and fabric/peers only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/result.hpp"

namespace rap::routing {

// Remembers the first thing that was wrong; reading goes on with empty values.
class JsonReader {
 public:
  // `object` must outlive the reader; `where` stands before every error.
  JsonReader(const boost::json::object& object, std::string where);

  bool has(std::string_view key);                        // there and not null; counts as asked for
  const boost::json::value* find(std::string_view key);  // nullptr: absent; counts as asked for
  std::string text(std::string_view key, std::size_t chars_max);
  std::int64_t number(std::string_view key, std::int64_t least, std::int64_t most);
  bool flag(std::string_view key);
  // nullptr when wrong.
  const boost::json::array* array(std::string_view key, std::size_t items_max);
  const boost::json::object* object(std::string_view key);
  std::vector<std::string> texts(std::string_view key, std::size_t items_max,
                                 std::size_t chars_max);
  // Position in `names`; 0 when wrong.
  std::size_t one_of(std::string_view key, const std::string_view* names, std::size_t count);

  template <typename Number>
  void number_if(std::string_view key, Number& out, std::int64_t least, std::int64_t most) {
    if (has(key)) out = static_cast<Number>(number(key, least, most));
  }
  void flag_if(std::string_view key, bool& out) {
    if (has(key)) out = flag(key);
  }

  void wrong(Errc code, std::string_view key, std::string_view what);
  void wrong(const Error& error);
  bool ok() const { return !failed_; }
  // Also says whether the object had members that were not asked for.
  Status done();
  const std::string& where() const { return where_; }

 private:
  const boost::json::object& object_;
  std::string where_;
  std::vector<std::string_view> asked_;
  Error error_;
  bool failed_ = false;
};

}  // namespace rap::routing
