// What a node may trust of what it was given: the rules between R, D and the node. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

#include "base/result.hpp"

namespace rap::agent {

// One target as a repository lists it, reduced to what is compared.
struct ListedTarget {
  std::string path;
  std::uint64_t length = 0;
  std::string sha256;  // hex
  // From `custom`; empty or -1 when it does not say.
  std::string kind;
  std::string product;
  std::string version;
  std::int64_t release_seq = -1;
  std::int64_t security_epoch = -1;
  std::string cluster_id;
  std::string node_id;
  std::int64_t authority_term = -1;
};

// `custom` is an object or null; `invalid` when a member has another type than the contract says.
Result<ListedTarget> listed_target(std::string path, std::uint64_t length, std::string sha256,
                                   const boost::json::value& custom);

struct NodeScope {
  std::string cluster_id;
  std::string node_id;
  std::int64_t authority_term_floor = 0;
};

// Is this target of D meant for this node, by an authority that is not outdated? `forbidden` for
// another node or cluster, `rollback` for a lower term, `invalid` when it does not say.
Status check_scope(const ListedTarget& target, const NodeScope& scope);

// Do R and D mean the same release? `mismatch` names the field; `not_found` when one does not list
// it (`in_release` or `in_director` empty); `rollback` when the epoch is under the floor.
Status check_consensus(const std::optional<ListedTarget>& in_release,
                       const std::optional<ListedTarget>& in_director,
                       std::int64_t security_epoch_floor);

std::string manifest_path(std::string_view product, std::string_view version);

}  // namespace rap::agent
