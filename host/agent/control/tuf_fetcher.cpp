#include "host/agent/control/tuf_fetcher.hpp"

#include <exception>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/net/http_client.hpp"

namespace rap::agent {
namespace {

// Slower than this is an endless data attack, or a line nobody can work on.
constexpr std::uint64_t kBytesPerSecondMin = 4 * 1024;
constexpr net::milliseconds kMetadataDeadline{30'000};
constexpr net::milliseconds kArtifactDeadline{15 * 60'000};  // 256 MiB at 300 kB/s

// Carries the sink's failure through the HTTP client.
struct SinkFailed : std::exception {
  explicit SinkFailed(Error e) : error(std::move(e)) {}
  Error error;
};

}  // namespace

struct TufFetcher::Impl {
  net::asio::io_context context{1};
  std::string base_url;
  std::unique_ptr<net::HttpClient> client;

  Result<net::HttpRequest> request_for(const std::string& url) const {
    if (!url.starts_with(base_url + "/")) return fail(Errc::invalid, "URL of another server");
    net::HttpRequest out;
    out.target = url.substr(base_url.size());
    return out;
  }

  Result<net::HttpResponse> run(net::HttpRequest request, net::HttpCall call) {
    Result<net::HttpResponse> out = fail(Errc::internal, "the request did not end");
    std::exception_ptr fault;
    const auto done = [&](std::exception_ptr error, net::HttpResponse response) {
      fault = error;
      if (!error) out = std::move(response);
    };
    net::asio::co_spawn(context, client->send(std::move(request), std::move(call)), done);
    context.restart();
    context.run();
    if (!fault) return out;
    // The interface of the TUF client speaks of outcomes.
    try {
      std::rethrow_exception(fault);
    } catch (const net::NetError& error) {
      return fail(error.error());
    } catch (const SinkFailed& failed) {
      return fail(failed.error);
    }
  }

  Status check(const net::HttpResponse& response, const std::string& url) const {
    if (response.status == 200) return {};
    if (response.status == 404) return fail(Errc::not_found, url);
    // 403 too: this is our own server, no store that says so of what it does not have.
    return fail(Errc::unavailable, problem_error(response.status, response.body).detail);
  }
};

TufFetcher::TufFetcher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TufFetcher::~TufFetcher() = default;

Result<std::unique_ptr<TufFetcher>> TufFetcher::create(
    const ServerAddress& server, const std::optional<net::TlsIdentity>& identity) {
  auto tls = control_tls(server, identity);
  if (!tls) return fail(std::move(tls.error()));
  auto impl = std::make_unique<Impl>();
  impl->base_url = server.base_url;
  net::HttpClientOptions options;
  options.base_url = server.base_url;
  options.tls = std::move(*tls);
  options.user_agent = "rap-node-agent";
  auto client = net::HttpClient::create(impl->context.get_executor(), options);
  if (!client) return fail(std::move(client.error()));
  impl->client = std::move(*client);
  return std::unique_ptr<TufFetcher>(new TufFetcher(std::move(impl)));
}

Result<Bytes> TufFetcher::fetch(const std::string& url, std::size_t max_bytes) {
  auto request = impl_->request_for(url);
  if (!request) return fail(std::move(request.error()));
  net::HttpCall call;
  call.deadline = kMetadataDeadline;
  call.body_bytes_max = max_bytes;
  auto response = impl_->run(std::move(*request), std::move(call));
  if (!response) return fail(std::move(response.error()));
  if (Status good = impl_->check(*response, url); !good) return fail(std::move(good.error()));
  return to_bytes(response->body);
}

Status TufFetcher::fetch_to(const std::string& url, std::uint64_t length, const Sink& sink) {
  auto request = impl_->request_for(url);
  if (!request) return fail(std::move(request.error()));
  net::HttpCall call;
  call.deadline = kArtifactDeadline;
  call.bytes_per_second_min = kBytesPerSecondMin;
  call.body_bytes_max = length;
  call.exact_length = length;
  call.sink = [&sink](ByteView bytes) {
    if (Status taken = sink(bytes); !taken) throw SinkFailed(taken.error());
  };
  auto response = impl_->run(std::move(*request), std::move(call));
  if (!response) return fail(std::move(response.error()));
  return impl_->check(*response, url);
}

}  // namespace rap::agent
