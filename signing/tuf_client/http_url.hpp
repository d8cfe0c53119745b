// The parts of an http:// URL.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace rap::tuf {

struct HttpUrl {
  std::string host;       // without brackets
  std::string port;       // decimal
  std::string authority;  // for the Host header
  std::string target;     // path and query, sent as it is; at least "/"
};

// `unsupported` for another scheme or user information, `malformed` for the rest, a space or a
// control character anywhere included. A fragment is an error, not cut off.
Result<HttpUrl> parse_http_url(std::string_view url);

}  // namespace rap::tuf
