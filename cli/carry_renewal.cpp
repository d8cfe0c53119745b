#include "cli/carry_renewal.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"
#include "cli/failure.hpp"
#include "cli/http_options.hpp"
#include "cli/session_access.hpp"

namespace rap::cli {
namespace {

namespace json = boost::json;
using Grant = Result<fabric::CarryGrant>;

// A lease, the authority and 16 entries.
constexpr std::size_t kAnswerBytesMax = 64 * 1024;

struct Renewal {
  std::unique_ptr<net::HttpClient> client;
  net::HttpRequest request;
};

Error refusal_of(const net::HttpResponse& answer) {
  Error out{Errc::unavailable, "status " + std::to_string(answer.status)};
  const auto problem = parse_json(answer.body);
  if (!problem || !problem->is_object()) return out;
  if (const auto code = json_string_or_none(problem->get_object(), "code")) {
    out.code = errc_from_name(*code);
  }
  if (auto detail = json_string_or_none(problem->get_object(), "detail")) {
    out.detail = std::move(*detail);
  }
  return out;
}

Grant grant_of(const net::HttpResponse& answer) {
  if (answer.status != 200) return fail(refusal_of(answer));
  const auto body = parse_json(answer.body);
  if (!body) return fail(body.error());
  if (!body->is_object()) return fail(Errc::malformed, "not an object");
  return parse_carry_grant(body->get_object());
}

net::Task<Grant> renew(std::shared_ptr<Renewal> renewal) {
  net::HttpCall call;
  call.body_bytes_max = kAnswerBytesMax;
  std::optional<Error> failed;
  net::HttpResponse answer;
  try {
    net::HttpRequest request = renewal->request;
    answer = co_await renewal->client->send(std::move(request), call);
  } catch (const net::NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    failed = error.error();
  }
  if (failed) co_return Grant(fail(std::move(*failed)));
  co_return grant_of(answer);
}

}  // namespace

fabric::RenewCarry carry_renewal(const Context& context, net::asio::any_io_executor executor,
                                 const std::string& session_id, std::string certificate_sha256) {
  auto renewal = std::make_shared<Renewal>();  // owned by the function that is returned
  renewal->client =
      require(net::HttpClient::create(std::move(executor), http_options(context)), context.server);
  net::HttpRequest& request = renewal->request;
  request.method = "POST";
  request.target = "/v1/sessions/" + session_id + "/carry";
  request.headers.set("accept", "application/json");
  request.headers.set("content-type", "application/json");
  request.headers.set("authorization", "Bearer " + context.token);
  request.body =
      json::serialize(json::object{{"client_certificate_sha256", std::move(certificate_sha256)}});
  return [renewal] { return renew(renewal); };
}

}  // namespace rap::cli
