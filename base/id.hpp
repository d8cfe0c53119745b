// Opaque ids of domain things: a prefix that says what it is, then 26 characters that sort by time
// of creation. Distinct C++ types, so that a node's id is never taken for a session's.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace rap {

// `prefix` + 26 characters of Crockford's base 32, lower case: 48 bits of Unix milliseconds, 80
// bits of randomness.
std::string new_id_text(std::string_view prefix);
bool is_id_text(std::string_view text, std::string_view prefix);

template <typename Kind>
class Id {
 public:
  Id() = default;  // empty: "none"

  static Id fresh() { return Id(new_id_text(Kind::prefix)); }
  // Fails with `malformed` when the prefix or the shape is another.
  static Result<Id> parse(std::string_view text) {
    if (!is_id_text(text, Kind::prefix)) {
      return fail(Errc::malformed, "not an id of the form " + std::string(Kind::prefix) + "...");
    }
    return Id(std::string(text));
  }

  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const Id&) const = default;

 private:
  explicit Id(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

namespace id_kind {
struct Cluster {
  static constexpr std::string_view prefix = "cls_";
};
struct Node {
  static constexpr std::string_view prefix = "nod_";
};
struct NodeGroup {
  static constexpr std::string_view prefix = "grp_";
};
struct JoinToken {
  static constexpr std::string_view prefix = "jtk_";
};
struct JoinRequest {
  static constexpr std::string_view prefix = "jrq_";
};
struct RoleAssignment {
  static constexpr std::string_view prefix = "rol_";
};
struct Organization {
  static constexpr std::string_view prefix = "org_";
};
struct User {
  static constexpr std::string_view prefix = "usr_";
};
struct Membership {
  static constexpr std::string_view prefix = "mem_";
};
struct Resource {
  static constexpr std::string_view prefix = "res_";
};
struct SecretRef {
  static constexpr std::string_view prefix = "sec_";
};
struct Session {
  static constexpr std::string_view prefix = "ses_";
};
struct Release {
  static constexpr std::string_view prefix = "rel_";
};
struct Artifact {
  static constexpr std::string_view prefix = "art_";
};
struct AuditEvent {
  static constexpr std::string_view prefix = "aud_";
};
}  // namespace id_kind

using ClusterId = Id<id_kind::Cluster>;
using NodeId = Id<id_kind::Node>;
using NodeGroupId = Id<id_kind::NodeGroup>;
using JoinTokenId = Id<id_kind::JoinToken>;
using JoinRequestId = Id<id_kind::JoinRequest>;
using RoleAssignmentId = Id<id_kind::RoleAssignment>;
using OrganizationId = Id<id_kind::Organization>;
using UserId = Id<id_kind::User>;
using MembershipId = Id<id_kind::Membership>;
using ResourceId = Id<id_kind::Resource>;
using SecretRefId = Id<id_kind::SecretRef>;
using SessionId = Id<id_kind::Session>;
using ReleaseId = Id<id_kind::Release>;
using ArtifactId = Id<id_kind::Artifact>;
using AuditEventId = Id<id_kind::AuditEvent>;

}  // namespace rap
