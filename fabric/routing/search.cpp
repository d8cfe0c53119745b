#include "fabric/routing/search.hpp"

#include <algorithm>

namespace rap::routing {

namespace {

constexpr std::size_t kConnectedMax = 8;  // of the relays that are connected now: the cheapest
constexpr std::size_t kPerRegion = 4;     // of a region's relays: among the least loaded
// So many of a region's list share the choice, so that a fleet does not pick the same four.
constexpr std::size_t kRegionWindow = 16;
// First and last relays that are paired when there is a shorter way already.
constexpr std::size_t kLikelyEnds = 6;

bool cheaper(const Way& a, const Way& b) {
  if (a.cost != b.cost) return a.cost < b.cost;
  if (a.relays != b.relays) return a.relays < b.relays;
  if (a.destination != b.destination) return a.destination < b.destination;
  return a.relay < b.relay;
}

}  // namespace

Search::Search(const Directory& directory, const Measurements& measurements, const Request& request,
               Moment now, Decision& decision)
    : directory_(directory),
      measurements_(measurements),
      request_(request),
      now_(now),
      decision_(decision),
      rules_(directory, request),
      scorer_(directory, measurements, request.channel_class, request.origin, now) {}

void Search::remove(Rule rule, NodeIndex a, NodeIndex b) {
  Removed& removed = decision_.removed[static_cast<std::size_t>(rule)];
  if (removed.count++ == 0) {
    removed.a = a;
    removed.b = b;
  }
}

void Search::forget_removed() {
  decision_.removed = {};
}

Rule Search::blame() const {
  std::size_t most = static_cast<std::size_t>(Rule::unreachable);
  for (std::size_t i = 1; i < kRules; ++i) {
    if (decision_.removed[i].count > decision_.removed[most].count) most = i;
  }
  return static_cast<Rule>(most);
}

Rule Search::resolve() {
  if (request_.kind == TargetKind::node || request_.kind == TargetKind::egress_node) {
    const NodeIndex node = directory_.find(request_.target);
    if (node == kNoNode) return Rule::unknown_target;
    add_destination(node, false);
  } else {
    const Group* group = request_.kind == TargetKind::service
                             ? directory_.service(request_.target)
                             : directory_.egress_pool(request_.target);
    if (group == nullptr) return Rule::unknown_target;
    if (rules_.organization() != kPlatform && !directory_.allows(*group, rules_.organization())) {
      return Rule::organization;
    }
    if (group->members == 0) return Rule::empty_target;
    for (const NodeIndex member : directory_.members(*group)) add_destination(member, true);
  }
  return destination_count_ == 0 ? blame() : Rule::none;
}

// Keeps the best by what is known of them and of the link straight there.
void Search::add_destination(NodeIndex node, bool by_name) {
  const Rule rule = rules_.destination(node, by_name);
  if (rule != Rule::none) return remove(rule, node);
  float rank = 0;
  if (node != request_.origin) {
    rank = scorer_.destination_cost(node) + scorer_.link_cost(request_.origin, node);
    if (node == request_.current.destination()) rank = 0;  // so that it can be kept
  }
  std::size_t at = destination_count_;
  if (at == kDestinationsMax) {
    if (rank >= destination_rank_[at - 1]) return;
    --at;
  } else {
    ++destination_count_;
  }
  for (; at > 0 && rank < destination_rank_[at - 1]; --at) {
    destinations_[at] = destinations_[at - 1];
    destination_rank_[at] = destination_rank_[at - 1];
  }
  destinations_[at] = node;
  destination_rank_[at] = rank;
}

bool Search::is_target(NodeIndex node) const {
  const auto end = destinations_.begin() + static_cast<std::ptrdiff_t>(destination_count_);
  return std::find(destinations_.begin(), end, node) != end;
}

bool Search::add_relay(NodeIndex node) {
  if (relay_count_ == kRelaysConsidered || node == request_.origin || is_target(node) ||
      !directory_.has(node, Role::relay_node)) {
    return false;
  }
  const auto end = relays_.begin() + static_cast<std::ptrdiff_t>(relay_count_);
  if (std::find(relays_.begin(), end, node) != end) return false;
  const Rule rule = rules_.relay(node);
  if (rule != Rule::none) {
    remove(rule, node);
    return false;
  }
  relay_cost_[relay_count_] = scorer_.relay_cost(node);
  relays_[relay_count_++] = node;
  return true;
}

void Search::add_connected() {
  struct Best {
    NodeIndex node = kNoNode;
    float cost = 0;
  };
  std::array<Best, kConnectedMax> best;
  std::size_t count = 0;
  for (const auto& [key, link] : measurements_.own_links()) {
    const auto node = static_cast<NodeIndex>(key);
    if (link.state != LinkState::up || !directory_.has(node, Role::relay_node)) continue;
    if (rules_.relay(node) != Rule::none) {
      add_relay(node);  // counts what the rule took
      continue;
    }
    const float cost = scorer_.link_cost(request_.origin, node) + scorer_.relay_cost(node);
    std::size_t at = count;
    if (at == kConnectedMax) {
      if (cost >= best[at - 1].cost) continue;
      --at;
    } else {
      ++count;
    }
    for (; at > 0 && cost < best[at - 1].cost; --at) best[at] = best[at - 1];
    best[at] = {node, cost};
  }
  for (std::size_t i = 0; i < count; ++i) add_relay(best[i].node);
}

void Search::add_attached() {
  const std::size_t each = destination_count_ <= 1 ? kAttachedMax : 3;
  for (std::size_t d = 0; d < destination_count_; ++d) {
    std::size_t added = 0;
    for (const NodeIndex relay : directory_.attached(destinations_[d])) {
      if (added < each && add_relay(relay)) ++added;
    }
  }
}

void Search::add_region(std::uint16_t region, std::size_t most) {
  const auto list = directory_.relays(region);
  const std::size_t window = std::min(list.size(), kRegionWindow);
  if (window == 0) return;
  const std::size_t start = mix64(request_.origin) % window;
  std::size_t added = 0;
  for (std::size_t i = 0; i < window && added < most; ++i) {
    if (add_relay(list[(start + i) % window])) ++added;
  }
}

void Search::gather_likely() {
  add_connected();
  add_attached();
  const std::uint16_t here = directory_.region(request_.origin);
  add_region(here, kPerRegion);
  std::uint16_t last = here;
  for (std::size_t d = 0; d < destination_count_; ++d) {
    const std::uint16_t there = directory_.region(destinations_[d]);
    if (there != last) add_region(there, kPerRegion);
    last = there;
  }
}

// What led nowhere gives its place to others.
void Search::drop_useless() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < relay_count_; ++i) {
    bool useful = first_[i] < kNone;
    for (std::size_t d = 0; d < destination_count_; ++d) useful |= last_[d][i] < kNone;
    if (!useful) continue;
    relays_[kept] = relays_[i];
    relay_cost_[kept++] = relay_cost_[i];
  }
  relay_count_ = kept;
}

void Search::gather_all() {
  if (relay_count_ == kRelaysConsidered) drop_useless();
  measured_ = 0;
  direct_known_ = false;
  const auto all = directory_.relays();
  const std::size_t start = all.empty() ? 0 : mix64(request_.origin) % all.size();
  for (std::size_t i = 0; i < all.size() && relay_count_ < kRelaysConsidered; ++i) {
    const NodeIndex node = all[(start + i) % all.size()];
    if (rules_.link(request_.origin, node, scorer_.view(request_.origin, node)) == Rule::none) {
      add_relay(node);
    } else {
      remove(Rule::unreachable, node);
    }
  }
}

// The cost from one node to the next, without the next node's own; kNone when there is no link.
float Search::leg(NodeIndex from, NodeIndex to) {
  const LinkView view = scorer_.view(from, to);
  const Rule rule = rules_.link(from, to, view);
  if (rule != Rule::none) {
    remove(rule, from, to);
    return kNone;
  }
  return scorer_.link_cost(from, to, view);
}

void Search::measure_legs() {
  if (!direct_known_) {
    direct_known_ = true;
    for (std::size_t d = 0; d < destination_count_; ++d) {
      direct_[d] = destinations_[d] == request_.origin ? 0 : leg(request_.origin, destinations_[d]);
      direct_[d] += scorer_.destination_cost(destinations_[d]);
    }
  }
  for (std::size_t i = measured_; i < relay_count_; ++i) {
    first_[i] = leg(request_.origin, relays_[i]) + relay_cost_[i];
    for (std::size_t d = 0; d < destination_count_; ++d) {
      last_[d][i] = leg(relays_[i], destinations_[d]) + scorer_.destination_cost(destinations_[d]);
    }
  }
  measured_ = relay_count_;
}

// Most pairs are never asked for: see pair_ways().
float Search::middle(std::size_t i, std::size_t j) {
  if (i == j) return kNone;
  float& cost = middle_[i][j];
  if (cost == kUnmeasured) cost = leg(relays_[i], relays_[j]) + relay_cost_[j];
  return cost;
}

// From the ways with `layer` relays to those with one more. A way never returns to a relay it has
// passed: with three at most, comparing with the two before is enough.
void Search::extend(std::size_t layer) {
  for (std::size_t j = 0; j < relay_count_; ++j) {
    float best = kNone;
    std::size_t from = 0;
    for (std::size_t i = 0; i < relay_count_; ++i) {
      if (layer >= 2 && before_[layer - 1][i] == j) continue;
      if (layer_[layer - 1][i] >= best) continue;
      const float cost = layer_[layer - 1][i] + middle(i, j);
      if (cost < best) {
        best = cost;
        from = i;
      }
    }
    layer_[layer][j] = best;
    before_[layer][j] = static_cast<std::uint8_t>(from);
  }
}

void Search::add_way(const Way& way) {
  if (way.cost == kNone) return;
  const auto begin = ways_.begin();
  if (way_count_ == ways_.size()) {  // a heap, the dearest in front
    if (!cheaper(way, ways_.front())) return;
    std::pop_heap(begin, ways_.end(), cheaper);
    --way_count_;
  }
  ways_[way_count_++] = way;
  std::push_heap(begin, begin + static_cast<std::ptrdiff_t>(way_count_), cheaper);
}

// Not the cheapest for each last relay only: a hidden node has few of them, and needs ways over
// other first ones when one dies. Where a shorter way was found, the likely pairs are enough.
void Search::pair_ways() {
  const bool some = way_count_ > 0;
  const std::size_t near = some ? std::min(relay_count_, kLikelyEnds) : relay_count_;
  const PerRelay<std::uint8_t> firsts = cheapest(first_, near);
  for (std::size_t d = 0; d < destination_count_; ++d) {
    if (destinations_[d] == request_.origin) continue;
    const PerRelay<std::uint8_t> lasts = cheapest(last_[d], near);
    for (std::size_t b = 0; b < near; ++b) {
      for (std::size_t a = 0; a < near; ++a) {
        const std::uint8_t i = firsts[a];
        const std::uint8_t j = lasts[b];
        // No link costs less than nothing: what cannot be among the cheapest is not measured.
        const float least = first_[i] + relay_cost_[j] + last_[d][j];
        if (least == kNone || (way_count_ == ways_.size() && least >= ways_.front().cost)) continue;
        add_way(
            Way{first_[i] + middle(i, j) + last_[d][j], static_cast<std::uint8_t>(d), 2, {i, j}});
      }
    }
  }
}

// The places of the `count` cheapest, in front.
Search::PerRelay<std::uint8_t> Search::cheapest(const PerRelay<float>& costs,
                                                std::size_t count) const {
  PerRelay<std::uint8_t> places{};
  for (std::size_t i = 0; i < relay_count_; ++i) places[i] = static_cast<std::uint8_t>(i);
  const auto begin = places.begin();
  std::partial_sort(begin, begin + static_cast<std::ptrdiff_t>(count),
                    begin + static_cast<std::ptrdiff_t>(relay_count_),
                    [&](std::uint8_t a, std::uint8_t b) {
                      return costs[a] != costs[b] ? costs[a] < costs[b] : a < b;
                    });
  return places;
}

void Search::end_ways(std::size_t relays) {
  for (std::size_t i = 0; i < relay_count_; ++i) {
    Way way;
    way.relays = static_cast<std::uint8_t>(relays);
    std::size_t at = i;
    for (std::size_t layer = relays; layer-- > 0;) {
      way.relay[layer] = static_cast<std::uint8_t>(at);
      at = before_[layer][at];
    }
    for (std::size_t d = 0; d < destination_count_; ++d) {
      way.destination = static_cast<std::uint8_t>(d);
      way.cost = layer_[relays - 1][i] + last_[d][i];
      if (destinations_[d] != request_.origin) add_way(way);
    }
  }
}

std::size_t Search::run(std::size_t relays_max) {
  measure_legs();
  for (PerRelay<float>& row : middle_) row.fill(kUnmeasured);
  way_count_ = 0;
  for (std::size_t d = 0; d < destination_count_; ++d) {
    add_way(Way{direct_[d], static_cast<std::uint8_t>(d), 0, {}});
  }
  if (relays_max >= 1) {
    layer_[0] = first_;
    before_[0] = {};
    end_ways(1);
  }
  for (std::size_t relays = 2; relays <= relays_max; ++relays) {
    if (relays == 2) pair_ways();
    if (relays_max > 2) extend(relays - 1);
    if (relays > 2) end_ways(relays);
  }
  return way_count_;
}

bool Search::both_ends_reach() const {
  const auto reaches = [&](const PerRelay<float>& costs) {
    const auto end = costs.begin() + static_cast<std::ptrdiff_t>(relay_count_);
    return std::any_of(costs.begin(), end, [](float cost) { return cost < kNone; });
  };
  if (!reaches(first_)) return false;
  return std::any_of(last_.begin(), last_.begin() + static_cast<std::ptrdiff_t>(destination_count_),
                     reaches);
}

std::span<const Way> Search::sorted() {
  std::sort_heap(ways_.begin(), ways_.begin() + static_cast<std::ptrdiff_t>(way_count_), cheaper);
  return {ways_.data(), way_count_};
}

Path Search::path(const Way& way) const {
  Path out;
  out.push(request_.origin);
  for (std::size_t i = 0; i < way.relays; ++i) out.push(relays_[way.relay[i]]);
  const NodeIndex destination = destinations_[way.destination];
  if (destination != request_.origin) out.push(destination);
  return out;
}

Rule Search::check_current() const {
  const Path& path = request_.current;
  if (path.count < 2 || path.count > kPathNodesMax || path.nodes[0] != request_.origin ||
      !is_target(path.destination())) {
    return Rule::unknown_target;
  }
  if (path.relays() > rules_.relays_max()) return Rule::relay_limit;
  for (std::size_t i = 1; i < path.count; ++i) {
    const NodeIndex a = path.nodes[i - 1];
    const NodeIndex b = path.nodes[i];
    if (b >= directory_.size()) return Rule::unknown_target;
    if (i + 1u < path.count) {
      if (!directory_.has(b, Role::relay_node)) return Rule::unreachable;
      if (const Rule rule = rules_.relay(b); rule != Rule::none) return rule;
    }
    if (const Rule rule = rules_.link(a, b, scorer_.view(a, b)); rule != Rule::none) return rule;
  }
  return Rule::none;
}

NodeIndex Search::direct_to_try(const Path& first) const {
  if (first.relays() == 0) return kNoNode;
  const NodeIndex destination = first.destination();
  const LinkView view = scorer_.view(request_.origin, destination);
  const bool possible = directory_.dialable(destination) &&
                        rules_.link(request_.origin, destination, view) == Rule::none;
  return possible && view.state != LinkState::up && !view.rtt_ms.known() ? destination : kNoNode;
}

}  // namespace rap::routing
