// Plain HTTP/1.1 over a blocking socket, for tools that fetch one file after another.
#pragma once

#include <chrono>

#include "signing/verify/fetcher.hpp"

namespace rap::tuf {

struct HttpFetcherOptions {
  std::chrono::milliseconds connect{10'000};
  // Until the whole response header is there.
  std::chrono::milliseconds header{10'000};
  // A body slower than `rate_bytes` per second over `rate_window` is given up: a mirror that drips
  // must not hold up an update. The whole body also has a deadline of length / rate + window.
  std::size_t rate_bytes = 4096;
  std::chrono::milliseconds rate_window{30'000};
  std::uint32_t header_max = 32 << 10;
};

// http:// only: what it fetches is verified by signatures, not by the channel. One connection per
// request, no redirects (any 3xx is `unavailable`), no cookies, no content coding. 403 and 404 are
// `not_found`. Name resolution is the system's and has the system's time limits.
class HttpFetcher final : public Fetcher {
 public:
  explicit HttpFetcher(HttpFetcherOptions options = {}) : options_(options) {}

  Result<Bytes> fetch(const std::string& url, std::size_t max_bytes) override;
  Status fetch_to(const std::string& url, std::uint64_t length, const Sink& sink) override;

 private:
  Status get(const std::string& url, std::uint64_t body_max, const Sink& sink);

  HttpFetcherOptions options_;
};

}  // namespace rap::tuf
