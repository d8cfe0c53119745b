#include "fabric/routing/rules.hpp"

#include <algorithm>

namespace rap::routing {

namespace {

template <typename Item>
std::span<const Item> bounded(std::span<const Item> items) {
  return items.first(std::min(items.size(), kExcludedMax));
}

bool allowed(Conduct conduct, Purpose purpose) {
  return conduct == Conduct::go_on ||
         (conduct == Conduct::existing_only && purpose == Purpose::existing_stream);
}

}  // namespace

Rules::Rules(const Directory& directory, const Request& request)
    : directory_(directory),
      policy_(directory.policy()),
      request_(request),
      own_(request.organization.empty() ? nullptr : directory.rule(request.organization)),
      organization_(directory.find_organization(request.organization)),
      relay_trust_min_(policy_.relay_trust_min),
      relays_max_(std::min<std::size_t>(policy_.relays_max, kRelaysMax)) {
  if (own_ == nullptr) return;
  relay_trust_min_ = std::max(relay_trust_min_, own_->trust_min);
  relays_max_ = std::min<std::size_t>(relays_max_, own_->relays_max);
  if (own_->regions.empty()) return;
  regions_ = 0;
  for (const std::string& region : own_->regions) {
    if (const auto index = directory.find_region(region)) regions_ |= std::uint64_t{1} << *index;
  }
}

Rule Rules::admits(Moment now) const {
  if (request_.cluster_id != directory_.cluster_id()) return Rule::foreign_cluster;
  if (now.wall >= directory_.expires_at()) {
    const auto grace = std::chrono::seconds(policy_.stale_grace_s);
    if (now.wall >= directory_.expires_at() + grace) return Rule::stale;
    if (!allowed(policy_.when_stale, request_.purpose)) return Rule::stale;
  }
  if (directory_.authority() == AuthorityState::isolated &&
      !allowed(policy_.when_isolated, request_.purpose)) {
    return Rule::isolated;
  }
  return Rule::none;
}

bool Rules::excluded(NodeIndex node) const {
  const auto nodes = bounded(request_.excluded_nodes);
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

bool Rules::region_allowed(NodeIndex node) const {
  return (regions_ >> directory_.region(node) & 1) != 0;
}

Rule Rules::relay(NodeIndex node) const {
  if (excluded(node)) return Rule::excluded;
  // A node of an organization carries its organization's streams, and no others: not even the
  // platform's.
  const OrganizationIndex owner = directory_.owner(node);
  if (owner != kPlatform && owner != organization_) return Rule::organization;
  if (organization_ != kPlatform && !directory_.serves(node, organization_)) {
    return Rule::organization;
  }
  if (own_ != nullptr && own_->own_relays_only && owner != organization_) return Rule::own_relays;
  if (!region_allowed(node)) return Rule::region;
  if (directory_.trust(node) < relay_trust_min_ || directory_.trust(node) == Trust::quarantined) {
    return Rule::trust;
  }
  if (directory_.draining(node)) return Rule::draining;
  if (!directory_.carries(node, request_.channel_class)) return Rule::channel_class;
  return Rule::none;
}

Rule Rules::destination(NodeIndex node, bool by_name) const {
  if (excluded(node)) return Rule::excluded;
  if (request_.kind == TargetKind::egress_node && !directory_.has(node, Role::egress)) {
    return Rule::not_egress;
  }
  if (organization_ == kPlatform) return Rule::none;  // the platform reaches every node of its own
  if (!directory_.serves(node, organization_)) return Rule::organization;
  if (!region_allowed(node)) return Rule::region;
  const Trust least = own_ == nullptr ? Trust::low : std::max(Trust::low, own_->trust_min);
  if (directory_.trust(node) < least) return Rule::trust;
  if (by_name && directory_.draining(node) && request_.purpose == Purpose::new_stream) {
    return Rule::draining;
  }
  return Rule::none;
}

Rule Rules::link(NodeIndex from, NodeIndex to, const LinkView& view) const {
  const auto links = bounded(request_.excluded_links);
  if (std::find(links.begin(), links.end(), Link{from, to}) != links.end()) return Rule::excluded;
  if (view.state == LinkState::down) return Rule::link_down;
  if (view.state == LinkState::up || directory_.may_connect(from, to)) return Rule::none;
  return Rule::unreachable;
}

Status check_route(const Directory& directory, const Request& request,
                   std::span<const NodeIndex> route, Moment now) {
  if (route.size() < 2 || route.size() > kPathNodesMax) {
    return fail(Errc::malformed, "route: want 2 to 5 nodes");
  }
  for (std::size_t i = 0; i < route.size(); ++i) {
    if (route[i] >= directory.size()) return fail(Errc::malformed, "route: an unknown node");
    if (std::find(route.begin(), route.begin() + static_cast<std::ptrdiff_t>(i), route[i]) !=
        route.begin() + static_cast<std::ptrdiff_t>(i)) {
      return fail(Errc::malformed, "route: a loop over " + std::string(directory.id(route[i])));
    }
  }
  const Rules rules(directory, request);
  const auto refused = [&](Rule rule, NodeIndex node) {
    return fail(Errc::forbidden, "route: " + std::string(name(rule)) + ": " +
                                     std::string(directory.id(node)) + " " +
                                     std::string(sentence(rule)));
  };
  if (const Rule rule = rules.admits(now); rule != Rule::none) return refused(rule, route[0]);
  if (route.size() - 2 > rules.relays_max()) return refused(Rule::relay_limit, route.back());
  for (std::size_t i = 1; i + 1 < route.size(); ++i) {
    if (!directory.has(route[i], Role::relay_node)) {
      return fail(Errc::forbidden,
                  "route: " + std::string(directory.id(route[i])) + " is not a relay");
    }
    const Rule rule = rules.relay(route[i]);
    if (rule != Rule::none) return refused(rule, route[i]);
  }
  if (const Rule rule = rules.destination(route.back(), false); rule != Rule::none) {
    return refused(rule, route.back());
  }
  return {};
}

}  // namespace rap::routing
