// How the TUF client reaches the two repositories: through the control plane, with our certificate.
#pragma once

#include <memory>

#include "host/agent/control/control_client.hpp"
#include "signing/verify/fetcher.hpp"

namespace rap::agent {

// Blocks the calling thread, on which it runs a small event loop of its own: use it on the blocking
// pool. One thread. URLs are those given to TufClientConfig and must begin with the server's.
class TufFetcher final : public tuf::Fetcher {
 public:
  // `malformed` for a URL or PEM that does not parse.
  static Result<std::unique_ptr<TufFetcher>> create(
      const ServerAddress& server, const std::optional<net::TlsIdentity>& identity);
  ~TufFetcher() override;

  Result<Bytes> fetch(const std::string& url, std::size_t max_bytes) override;
  Status fetch_to(const std::string& url, std::uint64_t length, const Sink& sink) override;

 private:
  struct Impl;
  explicit TufFetcher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rap::agent
