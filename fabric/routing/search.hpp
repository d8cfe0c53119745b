// The search behind decide(): which destinations and relays to compare, and the cheapest ways over
// them. Lives on the stack for one decision. Inside fabric/routing only.
#pragma once

#include <array>
#include <limits>

#include "fabric/routing/engine.hpp"
#include "fabric/routing/rules.hpp"
#include "fabric/routing/score.hpp"

namespace rap::routing {

// A way that was found: relays by their place in the search.
struct Way {
  float cost = 0;
  std::uint8_t destination = 0;
  std::uint8_t relays = 0;
  std::array<std::uint8_t, kRelaysMax> relay{};
};

// The cheapest ways are kept: a caller asks for a few, and wants them over several first relays.
inline constexpr std::size_t kWaysMax = 48;

class Search {
 public:
  Search(const Directory& directory, const Measurements& measurements, const Request& request,
         Moment now, Decision& decision);

  // Finds what the request names. Rule::none, or why there is nothing to route to.
  Rule resolve();
  void gather_likely();
  // Everything else that may relay, until the places are full.
  void gather_all();
  // Finds ways with at most `relays_max` relays; how many there are.
  std::size_t run(std::size_t relays_max);
  // Some relay can be reached, and some relay reaches a destination: more relays may join them.
  bool both_ends_reach() const;
  // Sorted by cost, with a fixed order among equals.
  std::span<const Way> sorted();

  Path path(const Way& way) const;
  // Whether the current path may and can still be used.
  Rule check_current() const;
  NodeIndex direct_to_try(const Path& first) const;
  // The rule that took most, to blame when there is no way.
  Rule blame() const;
  void forget_removed();

  const Rules& rules() const { return rules_; }
  const Scorer& scorer() const { return scorer_; }

 private:
  static constexpr float kNone = std::numeric_limits<float>::infinity();
  static constexpr float kUnmeasured = -1;
  template <typename Value>
  using PerRelay = std::array<Value, kRelaysConsidered>;

  void remove(Rule rule, NodeIndex a, NodeIndex b = kNoNode);
  bool is_target(NodeIndex node) const;
  void add_destination(NodeIndex node, bool by_name);
  bool add_relay(NodeIndex node);
  void add_connected();
  void add_attached();
  void drop_useless();
  void add_region(std::uint16_t region, std::size_t most);
  float leg(NodeIndex from, NodeIndex to);
  void measure_legs();
  float middle(std::size_t i, std::size_t j);
  void extend(std::size_t layer);
  void end_ways(std::size_t relays);
  void pair_ways();
  PerRelay<std::uint8_t> cheapest(const PerRelay<float>& costs, std::size_t count) const;
  void add_way(const Way& way);

  const Directory& directory_;
  const Measurements& measurements_;
  const Request& request_;
  Moment now_;
  Decision& decision_;
  Rules rules_;
  Scorer scorer_;

  std::array<NodeIndex, kDestinationsMax> destinations_{};
  std::array<float, kDestinationsMax> destination_rank_{};
  std::array<float, kDestinationsMax> direct_{};
  std::size_t destination_count_ = 0;

  PerRelay<NodeIndex> relays_{};
  PerRelay<float> relay_cost_{};
  std::size_t relay_count_ = 0;
  std::size_t measured_ = 0;  // relays whose legs are known
  bool direct_known_ = false;
  PerRelay<float> first_{};                               // origin to relay, with the relay
  std::array<PerRelay<float>, kDestinationsMax> last_{};  // relay to destination, with it
  PerRelay<PerRelay<float>>
      middle_{};  // relay to relay, with the second; kUnmeasured until asked for

  // layer l: the cheapest way that ends in a relay with l + 1 relays, and the relay before it.
  std::array<PerRelay<float>, kRelaysMax> layer_{};
  std::array<PerRelay<std::uint8_t>, kRelaysMax> before_{};

  std::array<Way, kWaysMax> ways_{};
  std::size_t way_count_ = 0;
};

}  // namespace rap::routing
