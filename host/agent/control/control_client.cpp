#include "host/agent/control/control_client.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/net/http_client.hpp"
#include "base/secret.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

Errc code_of_status(unsigned status) {
  switch (status) {
    case 400:
    case 422:
      return Errc::invalid;
    case 401:
      return Errc::unauthorized;
    case 403:
      return Errc::forbidden;
    case 404:
      return Errc::not_found;
    case 409:
    case 412:
      return Errc::conflict;
    case 410:
      return Errc::expired;
    case 413:
      return Errc::too_large;
    case 429:
    case 502:
    case 503:
    case 504:
      return Errc::unavailable;
    default:
      return Errc::internal;
  }
}

Error explain(const net::NetError& error) {
  Error out = error.error();
  if (out.code == Errc::expired) {
    out.detail += " (the clock of this host says " + to_rfc3339(RealClock().now()) + ")";
  }
  return out;
}

}  // namespace

Error problem_error(unsigned status, std::string_view body) {
  Error out{code_of_status(status), "HTTP status " + std::to_string(status)};
  auto value = parse_json(body);
  if (!value || !value->is_object()) return out;
  const json::object& problem = value->get_object();
  if (auto code = json_string_or_none(problem, "code")) {
    // A name this version does not know must not hide what the status says.
    if (const Errc named = errc_from_name(*code); name(named) == *code) out.code = named;
  }
  if (auto detail = json_string_or_none(problem, "detail"); detail && !detail->empty()) {
    out.detail = *detail;
  } else if (auto title = json_string_or_none(problem, "title"); title && !title->empty()) {
    out.detail = *title;
  }
  if (out.detail.size() > 512) out.detail.resize(512);
  return out;
}

Result<net::TlsClientContext> control_tls(const ServerAddress& server,
                                          const std::optional<net::TlsIdentity>& identity) {
  net::TlsClientOptions options{
      .trust = net::TrustPin{server.pin}, .identity = identity, .alpn = {}};
  return net::TlsClientContext::create(options);
}

ControlClient::ControlClient(net::asio::any_io_executor executor)
    : executor_(std::move(executor)) {}
ControlClient::~ControlClient() = default;

Status ControlClient::connect_to(const ServerAddress& server,
                                 const std::optional<net::TlsIdentity>& identity) {
  auto tls = control_tls(server, identity);
  if (!tls) return fail(std::move(tls.error()));
  net::HttpClientOptions options;
  options.base_url = server.base_url;
  options.tls = std::move(*tls);
  options.user_agent = "rap-node-agent";
  auto client = net::HttpClient::create(executor_, options);
  if (!client) return fail(std::move(client.error()));
  client_ = std::move(*client);
  return {};
}

net::Task<Result<json::value>> ControlClient::get(std::string target, net::milliseconds deadline) {
  return send("GET", std::move(target), "", deadline);
}

net::Task<Result<json::value>> ControlClient::post(std::string target, const json::object& body,
                                                   net::milliseconds deadline) {
  return send("POST", std::move(target), json::serialize(body), deadline);
}

net::Task<Result<json::value>> ControlClient::send(std::string method, std::string target,
                                                   std::string body, net::milliseconds deadline) {
  const std::shared_ptr<net::HttpClient> client = client_;
  if (client == nullptr) co_return fail(Errc::unavailable, "no control plane is configured");
  net::HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  if (!body.empty()) request.headers.set("Content-Type", "application/json");
  request.body = std::move(body);
  net::HttpCall call;
  call.deadline = deadline;
  net::HttpResponse response;
  // An unreachable control plane is an ordinary state of the agent, not a fault.
  try {
    response = co_await client->send(std::move(request), std::move(call));
  } catch (const net::NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    co_return fail(explain(error));
  }
  if (response.status < 200 || response.status > 299) {
    co_return fail(problem_error(response.status, response.body));
  }
  if (response.body.empty()) co_return json::value(nullptr);
  auto value = parse_json(response.body);
  wipe(response.body);  // may be the answer to secrets/resolve
  co_return value;
}

}  // namespace rap::agent
