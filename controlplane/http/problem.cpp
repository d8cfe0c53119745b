#include "controlplane/http/problem.hpp"

#include <boost/json.hpp>

namespace rap::cp {
namespace {

std::string_view title(unsigned status) {
  switch (status) {
    case 400:
      return "Bad request";
    case 401:
      return "Not authenticated";
    case 403:
      return "Not allowed";
    case 404:
      return "Not found";
    case 405:
      return "Method not allowed";
    case 409:
      return "Conflict";
    case 412:
      return "Changed meanwhile";
    case 413:
      return "Too large";
    case 415:
      return "Not JSON";
    case 422:
      return "Cannot be done";
    case 428:
      return "If-Match is missing";
    case 429:
      return "Too many attempts";
    case 503:
      return "Temporarily unavailable";
    default:
      return "Internal error";
  }
}

}  // namespace

unsigned http_status(Errc code) {
  switch (code) {
    case Errc::invalid:
    case Errc::malformed:
      return 400;
    case Errc::too_large:
      return 413;
    case Errc::not_found:
      return 404;
    case Errc::conflict:
    case Errc::rollback:
      return 409;
    case Errc::unauthorized:
      return 401;
    case Errc::forbidden:
    case Errc::expired:
    case Errc::mismatch:
    case Errc::exhausted:
      return 403;
    case Errc::bad_signature:
    case Errc::unsupported:
      return 422;
    case Errc::unavailable:
    case Errc::timeout:
      return 503;
    case Errc::cancelled:
    case Errc::internal:
      return 500;
  }
  return 500;
}

Problem::Problem(const Error& error)
    : status(http_status(error.code)), code(name(error.code)), detail(error.detail) {}

void refuse(Errc code, std::string detail) {
  throw Problem(Error{code, std::move(detail)});
}

void refuse_not_found() {
  throw Problem(404, "not_found", "no such thing, or not yours to see");
}

net::HttpResponse problem_response(const Problem& problem) {
  boost::json::object body;
  body["type"] = "about:blank";
  body["title"] = title(problem.status);
  body["status"] = problem.status;
  body["code"] = problem.code;
  body["detail"] = problem.detail;
  if (!problem.errors.empty()) {
    boost::json::array errors;
    for (const FieldError& error : problem.errors) {
      boost::json::object entry;
      entry["pointer"] = error.pointer;
      entry["detail"] = error.detail;
      errors.push_back(std::move(entry));
    }
    body["errors"] = std::move(errors);
  }
  net::HttpResponse response;
  response.status = problem.status;
  response.headers.push_back({"Content-Type", "application/problem+json"});
  if (problem.status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer"});
  if (problem.retry_after_s > 0) {
    response.headers.push_back({"Retry-After", std::to_string(problem.retry_after_s)});
  }
  response.body = boost::json::serialize(body);
  return response;
}

}  // namespace rap::cp
