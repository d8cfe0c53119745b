#include "fabric/routing/engine.hpp"

#include <algorithm>

#include "fabric/routing/search.hpp"

namespace rap::routing {

namespace {

// Writes the cheapest ways, leaving room for ways over another first hop: when the best first relay
// dies, the caller has somewhere to go without asking again.
std::size_t write(const Search& search, std::span<const Way> ways, std::span<Candidate> out) {
  const std::size_t same_max = (out.size() + 1) / 2;
  std::size_t count = 0;
  const auto first_hop = [](const Path& path) { return path.count < 2 ? kNoNode : path.nodes[1]; };
  const auto room = [&](const Way& way) {
    if (count == out.size()) return false;
    if (way.relays == 0) return true;
    const NodeIndex hop = first_hop(search.path(way));
    std::size_t same = 0;
    for (std::size_t i = 0; i < count; ++i) same += first_hop(out[i].path) == hop ? 1u : 0u;
    return same < same_max;
  };
  std::array<bool, kWaysMax> taken{};
  for (std::size_t i = 0; i < ways.size() && i < taken.size(); ++i) {
    taken[i] = room(ways[i]);
    if (taken[i]) out[count++] = {search.path(ways[i]), ways[i].cost};
  }
  for (std::size_t i = 0; i < ways.size() && i < taken.size() && count < out.size(); ++i) {
    if (!taken[i]) out[count++] = {search.path(ways[i]), ways[i].cost};
  }
  for (std::size_t i = 1; i < count; ++i) {  // std::stable_sort would allocate
    for (std::size_t j = i; j > 0 && out[j].cost < out[j - 1].cost; --j) {
      std::swap(out[j], out[j - 1]);
    }
  }
  return count;
}

// Puts `candidate` first and closes the gap it left; when it was not there, the last one goes.
void put_first(std::span<Candidate> out, Decision& decision, const Candidate& candidate) {
  std::size_t at = 0;
  while (at < decision.count && !(out[at].path == candidate.path)) ++at;
  if (at == decision.count) {
    if (decision.count < out.size()) {
      ++decision.count;
    } else {
      --at;
    }
  }
  for (; at > 0; --at) out[at] = out[at - 1];
  out[0] = candidate;
}

bool better(float cost, float current, std::uint16_t permille, std::uint16_t absolute) {
  return cost <= current * static_cast<float>(1000 - std::min<int>(permille, 1000)) / 1000 &&
         current - cost >= absolute;
}

// The cheapest with fewer relays than now whose first link has proved itself.
const Candidate* shortcut(const Search& search, const Hysteresis& hysteresis,
                          const Request& request, std::span<const Candidate> candidates,
                          float current, MonoTime now) {
  for (const Candidate& candidate : candidates) {
    if (candidate.path.count < 2 || candidate.path.relays() >= request.current.relays()) continue;
    const LinkView first = search.scorer().view(request.origin, candidate.path.nodes[1]);
    const bool proved =
        first.up_since != kNever && (now - first.up_since).count() >= hysteresis.shortcut_up_ms;
    if (proved && better(candidate.cost, current, hysteresis.shortcut_permille, 0)) {
      return &candidate;
    }
  }
  return nullptr;
}

void choose(const Search& search, const Directory& directory, const Request& request,
            std::span<Candidate> out, Moment now, Decision& decision) {
  decision.best_cost = out[0].cost;
  if (request.current.count == 0) {
    decision.choice = Choice::best;
    return;
  }
  const Rule ended = search.check_current();
  if (ended != Rule::none) {
    decision.choice = Choice::forced;
    decision.reason = ended;
    return;
  }
  const Hysteresis& hysteresis = directory.policy().hysteresis;
  const Candidate current{request.current, search.scorer().path_cost(request.current)};
  decision.current_cost = current.cost;
  decision.best_cost = std::min(decision.best_cost, current.cost);
  const Candidate* shorter =
      shortcut(search, hysteresis, request, out.first(decision.count), current.cost, now.mono);
  if (shorter != nullptr) {
    decision.choice = Choice::shortcut;
    const Candidate chosen = *shorter;
    return put_first(out, decision, chosen);
  }
  const bool rested = request.current_since == kNever ||
                      (now.mono - request.current_since).count() >= hysteresis.hold_ms;
  const bool wins =
      !(out[0].path == current.path) &&
      better(out[0].cost, current.cost, hysteresis.margin_permille, hysteresis.margin_cost);
  if (wins && rested) {
    decision.choice = Choice::better;
    return;
  }
  decision.choice = wins ? Choice::held : Choice::kept;
  put_first(out, decision, current);
}

}  // namespace

Decision decide(const Directory& directory, const Measurements& measurements,
                const Request& request, Moment now, std::span<Candidate> out) {
  Decision decision;
  if (request.origin >= directory.size()) {
    decision.reason = Rule::unknown_target;
    return decision;
  }
  Search search(directory, measurements, request, now, decision);
  decision.reason = search.rules().admits(now);
  if (decision.reason != Rule::none) return decision;
  decision.reason = search.resolve();
  if (decision.reason != Rule::none) return decision;

  const std::size_t relays_max = search.rules().relays_max();
  search.gather_likely();
  std::size_t found = search.run(relays_max);
  if (found == 0) {
    decision.wide = true;
    search.forget_removed();
    search.gather_all();
    found = search.run(relays_max);
  }
  if (found == 0) {
    decision.reason = search.blame();
    if (relays_max < kRelaysMax && search.both_ends_reach() && search.run(kRelaysMax) > 0)
      decision.reason = Rule::relay_limit;
    return decision;
  }
  if (out.empty()) return decision;
  decision.count = write(search, search.sorted(), out);
  choose(search, directory, request, out, now, decision);
  decision.try_direct = search.direct_to_try(out[0].path);
  return decision;
}

Path rebound(const Path& path, const Directory& from, const Directory& to) {
  Path out;
  for (const NodeIndex node : path.view()) {
    const NodeIndex now = node < from.size() ? to.find(from.id(node)) : kNoNode;
    if (now == kNoNode) return {};
    out.push(now);
  }
  return out;
}

}  // namespace rap::routing
