#include "base/net/dialler.hpp"

#include <algorithm>

#include "base/net/net_error.hpp"
#include "base/net/tcp.hpp"

namespace rap::net {
namespace {

// Reasons are reported to people of an organization: without addresses of the network.
std::string without_address(const std::string& detail) {
  const auto at = detail.rfind(": ");
  return at == std::string::npos ? detail : detail.substr(at + 2);
}

}  // namespace

Task<Result<Fd>> Dialler::dial(std::string host, std::uint16_t port, milliseconds timeout,
                               std::string share) {
  using Answer = Result<Fd>;
  if (host.empty() || host.size() > 253 || port == 0) {
    co_return Answer(fail(Errc::invalid, "dial: host, port"));
  }
  if (all_ >= limits_.all) co_return Answer(fail(Errc::exhausted, "dial: too many at once"));
  if (share.empty()) share = host;
  const auto mine = of_.try_emplace(share, 0).first;
  if (mine->second >= limits_.of_share) {
    co_return Answer(fail(Errc::exhausted, "dial: too many at once for one"));
  }
  struct Place {
    Dialler& self;
    std::map<std::string, std::size_t>::iterator mine;
    ~Place() {
      --self.all_;
      if (--mine->second == 0) self.of_.erase(mine);
    }
  } place{*this, mine};
  ++all_;
  ++mine->second;
  Error failure;
  try {
    auto stream = co_await connect_tcp(host, port, std::min(timeout, limits_.timeout_max), share);
    co_return Answer(stream->release());
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    failure = error.error();
  }
  const bool slow = failure.code == Errc::timeout;
  failure.detail = slow ? "no answer in time" : without_address(failure.detail);
  co_return Answer(fail(std::move(failure)));
}

}  // namespace rap::net
