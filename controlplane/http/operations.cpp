#include "controlplane/http/operations.hpp"

#include <set>

#include <boost/json.hpp>

#include "controlplane/db/database.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/http/shapes.hpp"
#include "controlplane/redis/redis.hpp"

namespace rap::cp {
namespace {

net::Task<Reply> livez(const Call&) {
  boost::json::object body;
  body["status"] = "alive";
  co_return json_reply(200, body);
}

net::Task<Reply> readyz(const Call& call) {
  const Services& services = *call.services;
  boost::json::object checks;
  bool ready = true;
  std::string authority;
  Database::Work look = [&](Tx& tx) {
    authority = tx.query("select state from authority")[0].text("state");
  };
  try {
    co_await services.db.run(std::move(look));
    checks["postgresql"] = "ok";
    checks["authority"] = authority;
  } catch (const DatabaseUnavailable&) {
    checks["postgresql"] = "away: no request that needs data can be answered";
    ready = false;
  }
  const bool redis = services.redis.connected();
  if (services.redis.configured()) {
    checks["redis"] = redis ? "ok" : "away: failed logins are counted by each server for itself";
  } else {
    checks["redis"] = "not configured";
  }
  const bool degraded =
      (services.redis.configured() && !redis) || (ready && authority != "healthy");
  boost::json::object body;
  body["status"] = !ready ? "not ready" : degraded ? "degraded" : "ready";
  body["checks"] = std::move(checks);
  co_return json_reply(ready ? 200 : 503, body);
}

net::Task<Reply> openapi(const Call&) {
  Reply reply;
  reply.body = committed_openapi();
  reply.cache_control = "public, max-age=300";
  co_return reply;
}

// "{path...}" is ours; OpenAPI knows "{path}".
std::string openapi_path(std::string_view pattern) {
  std::string out(pattern);
  if (const auto dots = out.find("...}"); dots != std::string::npos) out.erase(dots, 3);
  return out;
}

boost::json::object parameter(std::string_view where, std::string_view name, bool required,
                              boost::json::object schema = {{"type", "string"}}) {
  boost::json::object out;
  out["name"] = name;
  out["in"] = where;
  out["required"] = required;
  out["schema"] = std::move(schema);
  return out;
}

std::string_view meaning(unsigned status) {
  switch (status) {
    case 200:
      return "Done";
    case 201:
      return "Created";
    case 202:
      return "Accepted; not finished yet";
    case 204:
      return "Done, nothing to say";
    case 400:
      return "The request breaks its contract";
    case 401:
      return "Not authenticated";
    case 403:
      return "Not allowed";
    case 404:
      return "Not there, or not yours to see";
    case 409:
      return "Conflicts with what exists";
    case 412:
      return "Changed since it was read";
    case 413:
      return "Too large";
    case 415:
      return "Not application/json";
    case 422:
      return "Understood, and cannot be done";
    case 428:
      return "If-Match is missing";
    case 429:
      return "Too many attempts";
    case 503:
      return "Temporarily unavailable";
    default:
      return "A fault of the server";
  }
}

boost::json::object media_with(std::string_view shape) {
  boost::json::object schema;
  schema["$ref"] = "#/components/schemas/" + std::string(shape);
  boost::json::object media;
  media["schema"] = std::move(schema);
  return media;
}

boost::json::object response(const Answer& answer) {
  boost::json::object content;
  if (answer.body.find('/') != std::string_view::npos) {
    for (std::string_view rest = answer.body; !rest.empty();) {
      const auto space = rest.find(' ');
      content[rest.substr(0, space)] = boost::json::object();
      rest = space == std::string_view::npos ? "" : rest.substr(space + 1);
    }
  } else if (!answer.body.empty()) {
    content["application/json"] = media_with(answer.body);
  } else if (answer.status >= 400) {
    content["application/problem+json"] = media_with("Problem");
  }
  boost::json::object out;
  out["description"] = meaning(answer.status);
  if (!content.empty()) out["content"] = std::move(content);
  return out;
}

boost::json::object operation(const Route& route) {
  boost::json::object out;
  out["summary"] = route.summary;
  boost::json::array parameters;
  for (std::string_view rest = route.pattern; rest.find('{') != std::string_view::npos;) {
    rest = rest.substr(rest.find('{') + 1);
    std::string_view name = rest.substr(0, rest.find('}'));
    if (name.ends_with("...")) name.remove_suffix(3);
    parameters.push_back(parameter("path", name, true));
  }
  for (const QueryParameter& asked : route.query) {
    parameters.push_back(parameter("query", asked.name, false, query_schema(asked)));
  }
  if (route.creates) parameters.push_back(parameter("header", "Idempotency-Key", false));
  if (route.method == "PATCH") parameters.push_back(parameter("header", "If-Match", true));
  // A PUT may be what makes the thing: then there is nothing to match yet.
  if (route.method == "PUT") parameters.push_back(parameter("header", "If-Match", false));
  if (!parameters.empty()) out["parameters"] = std::move(parameters);
  if (!route.body.empty()) {
    boost::json::object media;
    media["schema"] = fields_schema(route.body);
    boost::json::object content;
    content["application/json"] = std::move(media);
    boost::json::object body;
    body["required"] = true;
    body["content"] = std::move(content);
    out["requestBody"] = std::move(body);
  }
  boost::json::object responses;
  for (const Answer& answer : all_answers(route)) {
    responses[std::to_string(answer.status)] = response(answer);
  }
  out["responses"] = std::move(responses);
  boost::json::array security;
  if (route.who != Who::anyone) {
    boost::json::object scheme;
    scheme[route.who == Who::node ? "node" : "person"] = boost::json::array();
    security.push_back(std::move(scheme));
  }
  out["security"] = std::move(security);
  if (route.who == Who::owner) out["x-rap-owner"] = true;
  return out;
}

constexpr std::string_view kSecuritySchemes = R"json({
  "person": {"type": "http", "scheme": "bearer", "description": "rapses1..., from POST /v1/auth/login"},
  "node": {"type": "mutualTLS", "description": "the node's certificate"}
})json";

// One member a line, so that a change of the document reads well as a difference.
void pretty(std::string& out, const boost::json::value& value, const std::string& indent) {
  const std::string inner = indent + " ";
  if (value.is_object() && !value.get_object().empty()) {
    out += "{\n";
    bool first = true;
    for (const auto& member : value.get_object()) {
      if (!first) out += ",\n";
      first = false;
      out += inner + boost::json::serialize(boost::json::string(member.key())) + ": ";
      pretty(out, member.value(), inner);
    }
    out += "\n" + indent + "}";
  } else if (value.is_array() && !value.get_array().empty() && value.get_array()[0].is_object()) {
    out += "[\n";
    bool first = true;
    for (const auto& item : value.get_array()) {
      if (!first) out += ",\n";
      first = false;
      out += inner;
      pretty(out, item, inner);
    }
    out += "\n" + indent + "]";
  } else {
    out += boost::json::serialize(value);
  }
}

}  // namespace

std::string openapi_document(const std::vector<Route>& routes) {
  boost::json::object info;
  info["title"] = "RAP control plane";
  info["version"] = "1";
  boost::json::object paths;
  std::set<std::string_view> lists;
  for (const Route& route : routes) {
    for (const Answer& answer : route.answers) {
      if (answer.body.ends_with(kListSuffix)) lists.insert(answer.body);
    }
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    auto& entry = paths[openapi_path(route.pattern)];
    if (!entry.is_object()) entry.emplace_object();
    entry.get_object()[method] = operation(route);
  }
  boost::json::object document;
  document["openapi"] = "3.1.0";
  document["info"] = std::move(info);
  document["paths"] = std::move(paths);
  boost::json::object components;
  components["schemas"] = shape_schemas(lists);
  components["securitySchemes"] = boost::json::parse(kSecuritySchemes);
  document["components"] = std::move(components);
  std::string out;
  pretty(out, document, "");
  return out + "\n";
}

void add_operations_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/livez",
                    Who::anyone,
                    "Is the process alive",
                    {{200, "Liveness"}},
                    TaskHandler(livez)});
  routes.push_back({"GET",
                    "/readyz",
                    Who::anyone,
                    "Can it answer, and if not, why",
                    {{200, "Readiness"}, {503, "Readiness"}},
                    TaskHandler(readyz)});
  routes.push_back({"GET",
                    "/v1/openapi.json",
                    Who::anyone,
                    "This document",
                    {{200, kJsonMedia}},
                    TaskHandler(openapi)});
}

}  // namespace rap::cp
