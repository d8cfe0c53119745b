// What is asked of the routing engine, and what it answers.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fabric/routing/directory.hpp"
#include "fabric/routing/types.hpp"

namespace rap::routing {

enum class TargetKind : std::uint8_t { node, service, egress_node, egress_pool };
inline constexpr std::size_t kTargetKinds = 4;
std::string_view name(TargetKind kind);

// A new stream may be refused where one that exists is still carried on.
enum class Purpose : std::uint8_t { new_stream, existing_stream };

struct Request {
  std::string_view cluster_id;
  NodeIndex origin = kNoNode;  // the node that decides
  TargetKind kind = TargetKind::node;
  std::string_view target;        // node id, name of a service, name of a pool
  std::string_view organization;  // whose stream; empty: the platform's own
  ChannelClass channel_class = ChannelClass::interactive;
  Purpose purpose = Purpose::new_stream;
  // What has just failed. At most kExcludedMax are looked at.
  std::span<const NodeIndex> excluded_nodes;
  std::span<const Link> excluded_links;
  Path current;  // in use, or remembered by the route cache; count 0: none
  MonoTime current_since = kNever;
};

inline constexpr std::size_t kExcludedMax = 64;

// The rules that take nodes, links and paths away, in the words of explanations.
enum class Rule : std::uint8_t {
  none,
  foreign_cluster,  // the request is for another cluster
  stale,            // the directory expired, and policy says no
  isolated,         // the authority is isolated, and policy says no
  unknown_target,   // nothing of that name
  empty_target,     // the name has no members
  not_egress,       // an egress node was asked for, and this one is not
  organization,     // it does not serve this organization
  own_relays,       // policy: only the organization's own relays
  region,           // policy: not in this region
  trust,            // below what policy asks
  draining,         // it is going away
  channel_class,    // it does not carry this class
  excluded,         // the request excludes it
  link_down,        // measured, or told, to be down
  unreachable,      // nobody can dial it and it has dialled nobody here
  relay_limit,      // only over more relays than policy allows
};
inline constexpr std::size_t kRules = 17;
std::string_view name(Rule rule);      // "organization"
std::string_view sentence(Rule rule);  // "does not serve this organization"

// How often a rule took something away, and the first thing it took: a node, or a link a-b.
struct Removed {
  std::uint32_t count = 0;
  NodeIndex a = kNoNode;
  NodeIndex b = kNoNode;
};

struct Candidate {
  Path path;
  float cost = 0;
};

// Why the first candidate is first.
enum class Choice : std::uint8_t {
  none,      // there is no path
  best,      // there was no current path
  kept,      // the current path: nothing is better by the margins
  held,      // the current path: something is better, but it has not had its time
  better,    // another one, by the margins
  shortcut,  // another one, with fewer relays
  forced,    // the current path is not allowed or does not work any more
};
std::string_view name(Choice choice);

struct Decision {
  std::size_t count = 0;  // candidates written
  Choice choice = Choice::none;
  // Without a path: the rule that is to blame. With Choice::forced: what ended the current path.
  Rule reason = Rule::none;
  std::array<Removed, kRules> removed{};
  float current_cost = 0;  // when it is still possible
  float best_cost = 0;     // of the cheapest, be it first or not
  // A destination that can be dialled, is not measured, and is not reached directly by the first
  // candidate: worth a connection in the background. kNoNode: none.
  NodeIndex try_direct = kNoNode;
  bool wide = false;  // no path among the likely relays: all of them were looked at
};

// "no path to ssh-1: does not serve this organization (3, e.g. nod_..); ..." For the owner only: it
// names nodes.
std::string explain_none(const Directory& directory, const Request& request,
                         const Decision& decision);

}  // namespace rap::routing
