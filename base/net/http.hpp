// HTTP/1.1 messages as plain structs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"

namespace rap::net {

struct HttpHeader {
  std::string name;
  std::string value;
};

struct HttpHeaders : std::vector<HttpHeader> {
  using std::vector<HttpHeader>::vector;
  // Value of the first header of that name, any case.
  std::optional<std::string_view> find(std::string_view name) const;
  // Replaces all of that name.
  void set(std::string_view name, std::string value);
};

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query, as sent
  HttpHeaders headers;
  std::string body;

  // The target up to '?'. Not percent-decoded.
  std::string_view path() const;
  // After '?'; empty without one.
  std::string_view query() const;
  // Value of one query parameter, percent-decoded; nullopt when absent or badly encoded.
  std::optional<std::string> query_parameter(std::string_view name) const;
};

// `length` bytes of an open regular file from `offset`; the response owns the descriptor.
struct FileBody {
  std::shared_ptr<Fd> file;  // shared with nobody in practice: responses are copyable values
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct HttpResponse {
  unsigned status = 200;
  HttpHeaders headers;
  std::string body;
  std::optional<FileBody> file;  // server only: sent instead of body, in 64 KiB pieces
};

// "%41" -> "A"; nullopt for a broken escape. '+' stays '+'.
std::optional<std::string> percent_decode(std::string_view text);
// Everything but unreserved characters (RFC 3986) is escaped.
std::string percent_encode(std::string_view text);

}  // namespace rap::net
