#include "controlplane/http/api.hpp"

#include <fmt/format.h>

#include <algorithm>

#include <boost/asio/error.hpp>
#include <boost/json.hpp>
#include <boost/system/system_error.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "controlplane/auth/people.hpp"
#include "controlplane/db/database.hpp"
#include "controlplane/enrollment/identities.hpp"
#include "controlplane/http/idempotency.hpp"
#include "controlplane/metrics/metrics.hpp"

namespace rap::cp {
namespace {

std::string without_port(const std::string& address) {
  const auto colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

bool has_body(const net::HttpRequest& request) {
  return request.method == "POST" || request.method == "PATCH" || request.method == "PUT";
}

// PostgreSQL stores no NUL, in texts and in JSON alike. As deep as the parser allows.
bool has_nul(const boost::json::value& value) {
  const auto in = [](std::string_view text) { return text.find('\0') != std::string_view::npos; };
  if (value.is_string()) return in(value.get_string());
  if (value.is_array()) return std::ranges::any_of(value.get_array(), has_nul);
  if (!value.is_object()) return false;
  return std::ranges::any_of(value.get_object(), [&](const auto& member) {
    return in(member.key()) || has_nul(member.value());
  });
}

std::shared_ptr<const boost::json::object> parse_body(const net::HttpRequest& request,
                                                      const Route& route) {
  auto empty = std::make_shared<boost::json::object>();
  if (!has_body(request) || (request.body.empty() && route.body.empty())) return empty;
  const auto type = request.headers.find("Content-Type");
  if (!request.body.empty() && (!type || !type->starts_with("application/json"))) {
    throw Problem(415, "unsupported", "send application/json");
  }
  auto value = parse_json(request.body);
  if (!value) {
    throw Problem(400, std::string(name(value.error().code)), "body: " + value.error().detail);
  }
  if (!value->is_object()) refuse(Errc::malformed, "body: must be a JSON object");
  if (has_nul(*value)) refuse(Errc::malformed, "the body has a NUL character");
  auto errors = check_fields(value->get_object(), route.body);
  if (!errors.empty()) {
    Problem problem(400, "invalid", errors[0].pointer.substr(1) + ": " + errors[0].detail);
    problem.errors = std::move(errors);
    throw problem;
  }
  return std::make_shared<boost::json::object>(std::move(value->get_object()));
}

void require_healthy(const Route& route, const Call& call) {
  if (!route.changes_trust || call.authority.state == "healthy") return;
  throw Problem(503, "unavailable",
                "the control plane is in state " + call.authority.state +
                    ": no change of nodes, roles or trust until it is healthy");
}

// Everything before the handler that needs the database.
void authenticate(const Route& route, Call& call, Tx& tx, const net::PeerInfo& peer) {
  switch (route.who) {
    case Who::anyone:
      call.authority = {1, "healthy"};
      if (route.changes_trust) {
        const Rows rows = tx.query("select term, state from authority");
        call.authority = {rows[0].integer("term"), rows[0].text("state")};
      }
      break;
    case Who::person:
      authenticate_person(call, tx);
      break;
    case Who::owner:
      authenticate_person(call, tx);
      if (!call.person.owner) refuse(Errc::forbidden, "only an owner of the platform may do this");
      break;
    case Who::node:
      authenticate_node(call, tx, peer.certificate ? &*peer.certificate : nullptr);
      break;
  }
  require_healthy(route, call);
}

Problem from_constraint(const ConstraintViolation& violation) {
  log::info("constraint refused a change", {{"constraint", violation.constraint}});
  return {409, "conflict", "it conflicts with what exists (" + violation.constraint + ")"};
}

// Sending the same again ends the same way, so a caller must not be told to.
Problem from_value(const ValueRefused& refused) {
  log::warn("the database refuses a value", {{"detail", refused.what()}});
  return {400, "invalid",
          "a value is one that cannot be stored: a number or time out of its range"};
}

Problem in_doubt() {
  return {503, "unavailable",
          "the database went away at the end: it is not known whether it was done; look, or repeat "
          "with the same Idempotency-Key"};
}

Problem away() {
  Problem problem(503, "unavailable", "the database is away; nothing was changed, try again");
  problem.retry_after_s = 2;
  return problem;
}

// The document is a promise: an answer outside it is a bug, which the tests look for in the log.
void note_undeclared(const Route& route, unsigned status) {
  const auto declared = all_answers(route);
  if (std::ranges::binary_search(declared, status, {}, &Answer::status)) return;
  log::error("status is not in the API document", {{"method", route.method},
                                                   {"path", route.pattern},
                                                   {"status", static_cast<std::int64_t>(status)}});
}

net::HttpResponse to_response(Reply reply) {
  net::HttpResponse response;
  response.status = reply.status;
  if (reply.file || !reply.body.empty()) {
    response.headers.push_back({"Content-Type", std::move(reply.content_type)});
  }
  response.headers.push_back({"Cache-Control", std::move(reply.cache_control)});
  if (!reply.etag.empty()) response.headers.push_back({"ETag", std::move(reply.etag)});
  response.body = std::move(reply.body);
  response.file = std::move(reply.file);
  return response;
}

}  // namespace

Api::Api(const Services& services, std::vector<Route> routes)
    : services_(services), table_(std::move(routes)) {}

net::Task<Reply> Api::dispatch(const net::HttpRequest& request, const net::PeerInfo& peer,
                               const Route*& matched) {
  auto match = table_.find(request.method, request.path());
  if (match.route == nullptr) {
    if (match.path_known) throw Problem(405, "unsupported", "another method is meant here");
    refuse_not_found();
  }
  const Route& route = *match.route;
  matched = match.route;
  if (auto good = check_query(request, route.query); !good) throw Problem(good.error());
  Call call;
  call.method = request.method;
  call.path = std::string(request.path());
  call.path_values = std::move(match.values);
  call.http = &request;
  if (request.body.size() > route.body_max) {
    throw Problem(413, "too_large", fmt::format("the body has more than {} bytes", route.body_max));
  }
  call.address = without_port(peer.address);
  call.now = services_.clock.now();
  call.services = &services_;

  // Parsing a full body takes longer than everything else here: only for who is known, and on a
  // database thread. Who is not has small bodies.
  const auto enter = [&](Tx& tx) {
    authenticate(route, call, tx, peer);
    if (!call.body) call.body = parse_body(request, route);
  };
  if (route.who == Who::anyone) call.body = parse_body(request, route);
  if (const auto* task = std::get_if<TaskHandler>(&route.handler)) {
    if (route.who != Who::anyone) {
      Database::Work check = enter;
      co_await services_.db.run(std::move(check));
    }
    co_return co_await (*task)(call);
  }
  Reply reply;
  Database::Work work = [&](Tx& tx) {
    enter(tx);
    reply = with_idempotency(route, call, tx, std::get<TransactionHandler>(route.handler));
  };
  co_await services_.db.run(std::move(work));
  co_return reply;
}

net::Task<net::HttpResponse> Api::handle(const net::HttpRequest& request,
                                         const net::PeerInfo& peer) {
  const SystemTime begin = services_.clock.now();
  net::HttpResponse response;
  const Route* matched = nullptr;
  try {
    Reply reply = co_await dispatch(request, peer, matched);
    response = to_response(std::move(reply));
  } catch (const Problem& problem) {
    response = problem_response(problem);
  } catch (const CommitInDoubt&) {
    response = problem_response(in_doubt());
  } catch (const DatabaseUnavailable&) {
    response = problem_response(away());
  } catch (const TransactionConflict&) {
    response = problem_response(away());
  } catch (const ValueRefused& refused) {
    response = problem_response(from_value(refused));
  } catch (const ConstraintViolation& violation) {
    response = problem_response(from_constraint(violation));
  } catch (const boost::system::system_error& error) {
    if (error.code() == boost::asio::error::operation_aborted) throw;
    log::error("request failed", {{"path", request.path()}, {"detail", error.what()}});
    response = problem_response(Problem(500, "internal", "a fault of ours; it is in the log"));
  } catch (const net::NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    log::error("request failed", {{"path", request.path()}, {"detail", error.what()}});
    response = problem_response(Problem(500, "internal", "a fault of ours; it is in the log"));
  } catch (const std::exception& error) {
    log::error("request failed", {{"path", request.path()}, {"detail", error.what()}});
    response = problem_response(Problem(500, "internal", "a fault of ours; it is in the log"));
  }
  if (matched != nullptr) note_undeclared(*matched, response.status);
  services_.metrics.request(request.method, response.status, services_.clock.now() - begin);
  log::debug("request", {{"method", request.method},
                         {"path", request.path()},
                         {"status", static_cast<std::int64_t>(response.status)},
                         {"address", peer.address}});
  co_return response;
}

}  // namespace rap::cp
