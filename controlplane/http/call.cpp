#include "controlplane/http/call.hpp"

#include <fmt/format.h>

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap::cp {

bool Person::is_member(const OrganizationId& organization) const {
  return std::ranges::any_of(memberships,
                             [&](const auto& m) { return m.organization == organization; });
}
bool Person::is_admin(const OrganizationId& organization) const {
  return owner || std::ranges::any_of(memberships, [&](const auto& m) {
           return m.organization == organization && m.role == OrganizationRole::admin;
         });
}
Scope Person::scope() const {
  if (owner) return Scope::platform();
  std::vector<OrganizationId> ids;
  for (const auto& m : memberships) ids.push_back(m.organization);
  return Scope::of(ids);
}

std::string NodeCaller::spiffe() const {
  return fmt::format("spiffe://{}/node/{}", cluster.str(), id.str());
}

const std::string& Request::path_value(std::string_view name) const {
  return path_values.find(name)->second;
}
std::optional<std::string> Request::query(std::string_view name) const {
  return http->query_parameter(name);
}

bool Request::has(std::string_view name) const {
  const auto* value = body->if_contains(name);
  return value != nullptr && !value->is_null();
}
std::string Request::text(std::string_view name) const {
  return json_string_or_none(*body, name).value_or("");
}
std::optional<std::string> Request::text_or_none(std::string_view name) const {
  return json_string_or_none(*body, name);
}
std::int64_t Request::integer(std::string_view name) const {
  return json_int_or_none(*body, name).value_or(0);
}
std::int64_t Request::integer_or(std::string_view name, std::int64_t otherwise) const {
  return json_int_or_none(*body, name).value_or(otherwise);
}
const boost::json::object& Request::object(std::string_view name) const {
  static const boost::json::object empty;
  return has(name) ? body->at(name).as_object() : empty;
}
const boost::json::array& Request::array(std::string_view name) const {
  static const boost::json::array empty;
  return has(name) ? body->at(name).as_array() : empty;
}
void Request::bad_field(std::string_view name, std::string detail) const {
  Problem problem(400, "invalid", fmt::format("{}: {}", name, detail));
  problem.errors.push_back({"/" + std::string(name), std::move(detail)});
  throw problem;
}

Reply json_reply(unsigned status, const boost::json::object& body) {
  Reply reply;
  reply.status = status;
  reply.body = boost::json::serialize(body);
  return reply;
}
Reply no_content() {
  Reply reply;
  reply.status = 204;
  return reply;
}

Reply entity_reply(unsigned status, const boost::json::object& body, std::int64_t revision) {
  Reply reply = json_reply(status, body);
  reply.etag = fmt::format("\"{}\"", revision);
  return reply;
}

void require_match(const Call& call, std::int64_t revision) {
  const auto given = call.http->headers.find("If-Match");
  if (!given) {
    throw Problem(428, "invalid", "send If-Match with the ETag that you read");
  }
  if (*given != fmt::format("\"{}\"", revision)) {
    throw Problem(412, "conflict", "it was changed since you read it; read it again");
  }
}

}  // namespace rap::cp
