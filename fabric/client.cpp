#include "fabric/client.hpp"

#include "base/net/timer.hpp"
#include "fabric/h2/connection.hpp"
#include "fabric/lease.hpp"
#include "fabric/names.hpp"

namespace rap::fabric {

namespace {

using net::NetError;
using net::Task;

Task<ConnectAnswer> open(SessionStreamOptions options, net::HostPort address,
                         net::TlsClientContext tls) {
  auto executor = co_await net::asio::this_coro::executor;
  auto tcp = co_await net::connect_tcp(address.host, address.port, options.timeout);
  net::TcpOptions tcp_options = options.tcp;
  if (tcp_options.not_sent_low_water == 0) tcp_options.not_sent_low_water = kNotSentLowWater;
  tcp->set_options(tcp_options);
  net::ExpectedPeer peer = net::SpiffeId{options.spiffe_id};
  auto secured =
      co_await net::connect_tls(std::move(tcp), std::move(tls), std::move(peer), options.timeout);
  H2Limits limits;
  auto connection = H2Connection::make_client(executor, std::move(secured), limits);
  connection->start();
  ConnectRequest request;
  request.authority = session_authority(options.session_id);
  request.headers.set(std::string(kLeaseHeader), options.lease);
  // The stream keeps the connection; without one the connection ends with this frame.
  co_return co_await connection->connect(std::move(request));
}

Error refusal_of(const ConnectAnswer& answer) {
  Error error;
  const auto code = answer.headers.find(kErrorHeader);
  error.code = code ? errc_from_name(*code) : Errc::unavailable;
  const auto detail = answer.headers.find(kDetailHeader);
  error.detail =
      detail ? std::string(*detail) : "the node answered " + std::to_string(answer.status);
  return error;
}

}  // namespace

Task<Result<net::ByteStreamPtr>> open_session_stream(SessionStreamOptions options) {
  using Answer = Result<net::ByteStreamPtr>;
  auto address = net::parse_host_port(options.endpoint);
  if (!address) co_return Answer(fail(address.error(), "endpoint of the node"));
  if (options.lease.empty() || options.lease.size() > kLeaseBytesMax) {
    co_return Answer(fail(Errc::invalid, "lease"));
  }
  net::TlsClientOptions tls_options;
  tls_options.trust = net::TrustCa{options.cluster_ca_pem};
  tls_options.identity = options.identity;
  tls_options.alpn.push_back("h2");
  auto tls = net::TlsClientContext::create(tls_options);
  if (!tls) co_return Answer(fail(tls.error()));
  const auto timeout = options.timeout;
  std::optional<Error> failure;
  ConnectAnswer answer;
  try {
    answer = co_await net::with_deadline(
        open(std::move(options), std::move(*address), std::move(*tls)), timeout);
  } catch (const NetError& error) {
    failure = error.error();
    if (error.code() == Errc::timeout) failure->detail = "the node did not answer in time";
  }
  if (failure) co_return Answer(fail(std::move(*failure)));
  if (!answer.stream) co_return Answer(fail(refusal_of(answer)));
  co_return Answer(std::move(answer.stream));
}

}  // namespace rap::fabric
