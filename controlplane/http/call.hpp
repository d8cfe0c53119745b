// One request as a handler sees it, and what a handler answers.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/id.hpp"
#include "base/net/http.hpp"
#include "base/net/task.hpp"
#include "controlplane/db/sql.hpp"
#include "controlplane/http/problem.hpp"

namespace rap::cp {

struct Services;

enum class OrganizationRole { member, admin };

struct PersonMembership {
  OrganizationId organization;
  OrganizationRole role = OrganizationRole::member;
};

// Who calls: a person by session token.
struct Person {
  UserId id;
  std::string login;
  std::string display_name;
  bool owner = false;
  std::vector<PersonMembership> memberships;
  Bytes token_hash;

  bool is_member(const OrganizationId& organization) const;
  bool is_admin(const OrganizationId& organization) const;  // an owner is, everywhere
  // What of the organizations this person may see.
  Scope scope() const;
};

// Who calls: a node by certificate.
struct NodeCaller {
  NodeId id;
  ClusterId cluster;
  std::string name;
  bool disabled = false;
  Sha256Digest certificate_sha256{};
  std::string spiffe() const;
};

struct Authority {
  std::int64_t term = 0;
  std::string state;
};

// The parts of a request that do not depend on a transaction.
struct Request {
  std::string method;
  std::string path;
  std::map<std::string, std::string, std::less<>> path_values;  // "{id}" -> text
  const net::HttpRequest* http = nullptr;
  std::shared_ptr<const boost::json::object> body;  // shared with the task that runs the handler
  std::string address;                              // without port
  SystemTime now{};

  const std::string& path_value(std::string_view name) const;
  // The path value as an id; a text of another shape is as good as an id that does not exist.
  template <typename I>
  I path_id(std::string_view name) const {
    auto id = I::parse(path_value(name));
    if (!id) refuse_not_found();
    return std::move(*id);
  }
  std::optional<std::string> query(std::string_view name) const;

  // Members of the body; their types were checked before the handler ran.
  bool has(std::string_view name) const;
  std::string text(std::string_view name) const;
  std::optional<std::string> text_or_none(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  std::int64_t integer_or(std::string_view name, std::int64_t otherwise) const;
  const boost::json::object& object(std::string_view name) const;  // empty when absent
  const boost::json::array& array(std::string_view name) const;    // empty when absent
  // An id in the body; `invalid` naming the field when it has another shape.
  template <typename I>
  I id(std::string_view name) const {
    auto parsed = I::parse(text(name));
    if (!parsed) bad_field(name, parsed.error().detail);
    return std::move(*parsed);
  }
  [[noreturn]] void bad_field(std::string_view name, std::string detail) const;
};

struct Call : Request {
  const Services* services = nullptr;
  Authority authority;
  Person person;    // routes of people
  NodeCaller node;  // routes of nodes
};

struct Reply {
  unsigned status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::string etag;
  std::string cache_control = "no-store";
  std::optional<net::FileBody> file;
};

Reply json_reply(unsigned status, const boost::json::object& body);
Reply entity_reply(unsigned status, const boost::json::object& body, std::int64_t revision);
// 204: done, and nothing to say.
Reply no_content();

// ETags are revisions. Refuses with 428 without If-Match and 412 when it names another.
void require_match(const Call& call, std::int64_t revision);

}  // namespace rap::cp
