#include "signing/tuf_client/http_url.hpp"

#include <algorithm>

namespace rap::tuf {
namespace {

tl::unexpected<Error> malformed(std::string_view what) {
  return fail(Errc::malformed, "URL: " + std::string(what));
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Result<HttpUrl> parse_http_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  constexpr std::size_t kUrlMax = 8192;
  if (url.size() > kUrlMax) return fail(Errc::too_large, "URL");
  if (!url.starts_with(kScheme)) return fail(Errc::unsupported, "URL: want http://");
  if (std::any_of(url.begin(), url.end(), [](char c) {
        return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f ||
               c == '#';
      })) {
    return malformed("a character that must be percent-encoded");
  }
  std::string_view rest = url.substr(kScheme.size());
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view authority = rest.substr(0, end);
  rest.remove_prefix(end);
  if (authority.find('@') != std::string_view::npos) {
    return fail(Errc::unsupported, "URL: user information");
  }

  HttpUrl out;
  out.authority = authority;
  out.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  std::string_view port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return malformed("address without closing bracket");
    out.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
    has_port = !port.empty();
    if (has_port && !port.starts_with(':')) return malformed("port");
    if (has_port) port.remove_prefix(1);
  } else {
    const std::size_t colon = authority.find(':');
    out.host = authority.substr(0, colon);
    has_port = colon != std::string_view::npos;
    if (has_port) port = authority.substr(colon + 1);
  }
  if (out.host.empty()) return malformed("no host");
  if (has_port && !is_port(port)) return malformed("port");
  out.port = has_port ? std::string(port) : "80";
  return out;
}

}  // namespace rap::tuf
