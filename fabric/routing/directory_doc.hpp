// The peer directory as plain values: what is signed, parsed and written. Directory is its compact
// form for deciding. docs/contracts/mesh-directory.md has the JSON and every limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/result.hpp"
#include "fabric/routing/policy.hpp"
#include "fabric/routing/types.hpp"

namespace rap::routing {

// 10,000 nodes take about 5 MB.
inline constexpr std::size_t kDirectoryBytesMax = 16u << 20;
inline constexpr std::size_t kNodesMax = 16'384;  // the figure of 10,000, with room
inline constexpr std::size_t kEndpointsMax =
    8;  // of a node: two addresses in each of two families, twice
inline constexpr std::size_t kKeysMax = 2;         // of a node: the one in use and the next
inline constexpr std::size_t kAttachedMax = 8;     // relays that a node dialled
inline constexpr std::size_t kServesMax = 64;      // organizations that share one dedicated node
inline constexpr std::size_t kGroupsMax = 16'384;  // services (one a node and organization); pools
inline constexpr std::size_t kGroupMembersMax = 64;  // nodes behind one name
inline constexpr std::size_t kRegionsMax = 64;       // distances are a square table
inline constexpr std::size_t kOrganizationsMax = 4'096;
inline constexpr std::size_t kVersionsMax = 1'024;  // distinct ones
inline constexpr std::size_t kEndpointCharsMax = 128;
inline constexpr std::size_t kNameCharsMax = 64;  // region, service, pool, version
inline constexpr std::uint16_t kLoadMax = 1000;   // permille
inline constexpr std::uint16_t kAvoidMax = 1000;

struct NodeEntry {
  std::string node_id;
  std::string spiffe_id;           // spiffe://<cluster>/node/<node>; nothing else is accepted
  std::vector<Sha256Digest> keys;  // of the certificate's SubjectPublicKeyInfo
  RoleMask roles = 0;
  std::string region;
  std::vector<std::string> endpoints;  // "10.0.0.1:7444", "[2001:db8::1]:443"; none: dials out only
  std::vector<std::string> attached;   // relays it has dialled
  std::string owner;                   // organization; empty: the platform
  // Whose streams it may carry or end; nullopt: anybody's. For a node of an organization: it alone.
  std::optional<std::vector<std::string>> serves;
  Trust trust = Trust::normal;
  std::optional<std::uint16_t> load_permille;
  std::string version;
  ClassMask classes = kEveryClass;
  std::uint16_t avoid = 0;
  bool thin = false;       // mobile or small: few connections
  bool draining = false;   // going away: nothing new
  bool bootstrap = false;  // a last resort that every node may dial
  friend bool operator==(const NodeEntry&, const NodeEntry&) = default;
};

// A name that stands for nodes: a service or an egress pool.
struct GroupEntry {
  std::string name;
  std::vector<std::string> members;
  std::optional<std::vector<std::string>> organizations;  // who may ask for it; nullopt: anybody
  friend bool operator==(const GroupEntry&, const GroupEntry&) = default;
};

struct DirectoryDoc {
  std::string cluster_id;
  std::string node_id;  // whom it was made for
  AuthorityState authority = AuthorityState::healthy;
  std::int64_t authority_term = 0;
  std::int64_t version = 0;
  SystemTime issued_at{};
  SystemTime expires_at{};
  std::vector<NodeEntry> nodes;
  std::vector<GroupEntry> services;
  std::vector<GroupEntry> egress_pools;
  Policy policy;
  friend bool operator==(const DirectoryDoc&, const DirectoryDoc&) = default;
};

// Reads the content of `snap/mesh.json`. `malformed` (not JSON), `unsupported` (format),
// `too_large` or `invalid`, naming the first member that is wrong; also for members it does not
// know. Checks each value by itself; what must agree between values, Directory::compile checks.
Result<DirectoryDoc> parse_directory(std::string_view text);

// One text for one value; parse_directory reads it back to an equal value.
std::string to_json(const DirectoryDoc& doc);

// The policy alone, as it stands in a directory. The same errors.
Result<Policy> parse_policy(std::string_view text);

// The policy alone, with every member, for people and for records of decisions.
std::string to_json(const Policy& policy);

// "host:port" or "[ipv6]:port" with a port of 1..65535 and a name or address of sane characters.
bool is_endpoint(std::string_view text);

}  // namespace rap::routing
