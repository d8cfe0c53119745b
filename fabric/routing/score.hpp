// What a link and a node cost, in milliseconds of round trip, and why. One piece of code gives the
// sum that the engine compares and the terms that `rapctl mesh explain` shows.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "fabric/routing/directory.hpp"
#include "fabric/routing/measurements.hpp"

namespace rap::routing {

enum class Term : std::uint8_t {
  latency,
  loss,
  reliability,
  failures,
  setup,
  region,
  bandwidth,
  load,
  role,
  trust,
  hop,
  avoid,
};
inline constexpr std::size_t kTerms = 12;
std::string_view name(Term term);
// What the raw value counts: "ms", "permille", ...
std::string_view unit(Term term);

struct TermValue {
  Term term{};
  NodeIndex a = kNoNode;  // the link a-b, or the node a when b is kNoNode
  NodeIndex b = kNoNode;
  bool known = true;
  float raw = 0;         // the figure; meaningless when not known
  float confidence = 1;  // how much of it counts; the rest is charged at the price of not knowing
  float weight = 0;
  float contribution = 0;  // weight x (confidence x raw + (1 - confidence) x price of not knowing)
};

// Terms of the longest path: seven for each link, five for each node after the origin.
inline constexpr std::size_t kTermsMax = (kPathNodesMax - 1) * kTerms;

// Everything a score depends on. The referenced objects must outlive it. Allocates nothing.
class Scorer {
 public:
  Scorer(const Directory& directory, const Measurements& measurements, ChannelClass channel_class,
         NodeIndex self, Moment now);

  LinkView view(NodeIndex a, NodeIndex b) const {
    return measurements_.link(self_, a, b, now_.mono, policy_.decay);
  }
  // Both >= 0.
  float link_cost(NodeIndex a, NodeIndex b) const { return link_cost(a, b, view(a, b)); }
  float link_cost(NodeIndex a, NodeIndex b, const LinkView& link) const;
  float relay_cost(NodeIndex node) const;        // of a node on the way
  float destination_cost(NodeIndex node) const;  // of a node at the end: no hop, no role

  float path_cost(const Path& path) const;
  // The terms of `path`, as many as fit; their number. They sum up to path_cost(path).
  std::size_t explain(const Path& path, std::span<TermValue> out) const;

  // Load of a node as a share of 1, from the newest of what was told and what the directory says.
  Known load(NodeIndex node) const;

 private:
  template <typename Sink>
  void link_terms(NodeIndex a, NodeIndex b, const LinkView& link, Sink&& sink) const;
  template <typename Sink>
  void node_terms(NodeIndex node, bool relay, Sink&& sink) const;
  template <typename Sink>
  void path_terms(const Path& path, Sink&& sink) const;
  TermValue term(Term term, NodeIndex a, NodeIndex b, float raw) const;
  TermValue term(Term term, NodeIndex a, NodeIndex b, Known raw, float price) const;

  const Directory& directory_;
  const Measurements& measurements_;
  const Policy& policy_;
  NodeIndex self_;
  Moment now_;
  float directory_load_confidence_;
  std::array<float, kTerms> weights_;
};

}  // namespace rap::routing
