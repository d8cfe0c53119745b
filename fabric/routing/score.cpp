#include "fabric/routing/score.hpp"

#include <algorithm>

namespace rap::routing {

namespace {

// Bandwidth is compared with this: what a desktop with moving pictures takes.
constexpr float kReferenceKbps = 10'000;
// A link slower than 100 kbit/s is not made worse by being slower still.
constexpr float kBandwidthMax = 100;
// load / (1 - load) at 95 %: beyond, the reports are too coarse to tell nodes apart.
constexpr float kQueueMax = 20;
constexpr RoleMask kEnds = mask(Role::service) | mask(Role::egress);

float queue(float load) {
  return load >= 0.95F ? kQueueMax : load / (1 - load);
}

float narrowness(float kbps) {
  return kbps * kBandwidthMax <= kReferenceKbps ? kBandwidthMax : kReferenceKbps / kbps;
}

float role_steps(RoleMask roles) {
  if ((roles & mask(Role::relay_node)) == 0) return 3;
  if ((roles & kEnds) != 0) return 2;
  return (roles & mask(Role::entry_node)) != 0 ? 1 : 0;
}

}  // namespace

std::string_view name(Term term) {
  constexpr std::string_view kNames[kTerms] = {"latency", "loss",   "reliability", "failures",
                                               "setup",   "region", "bandwidth",   "load",
                                               "role",    "trust",  "hop",         "avoid"};
  return kNames[static_cast<std::size_t>(term)];
}

std::string_view unit(Term term) {
  constexpr std::string_view kUnits[kTerms] = {"ms",
                                               "permille",
                                               "permille failed",
                                               "recent",
                                               "to set up",
                                               "distance",
                                               "10Mbit/s needed over given",
                                               "load/(1-load)",
                                               "steps",
                                               "steps",
                                               "relay",
                                               "wish"};
  return kUnits[static_cast<std::size_t>(term)];
}

Scorer::Scorer(const Directory& directory, const Measurements& measurements,
               ChannelClass channel_class, NodeIndex self, Moment now)
    : directory_(directory),
      measurements_(measurements),
      policy_(directory.policy()),
      self_(self),
      now_(now) {
  const auto age = std::chrono::duration_cast<MonoTime>(now.wall - directory.issued_at());
  directory_load_confidence_ = confidence(MonoTime{0}, std::max(age, MonoTime{0}),
                                          policy_.decay.told_fresh_ms, policy_.decay.told_stale_ms);
  const Weights& w = policy_.weights(channel_class);
  const std::uint16_t in_order[kTerms] = {w.latency, w.loss,   w.reliability, w.failures,
                                          w.setup,   w.region, w.bandwidth,   w.load,
                                          w.role,    w.trust,  w.hop,         w.avoid};
  for (std::size_t i = 0; i < kTerms; ++i) weights_[i] = static_cast<float>(in_order[i]) / 100;
}

TermValue Scorer::term(Term term, NodeIndex a, NodeIndex b, float raw) const {
  const float weight = weights_[static_cast<std::size_t>(term)];
  return {term, a, b, true, raw, 1, weight, weight * raw};
}

TermValue Scorer::term(Term term, NodeIndex a, NodeIndex b, Known raw, float price) const {
  const float weight = weights_[static_cast<std::size_t>(term)];
  const float charged = raw.confidence * raw.value + (1 - raw.confidence) * price;
  return {term, a, b, raw.known(), raw.value, raw.confidence, weight, weight * charged};
}

template <typename Sink>
void Scorer::link_terms(NodeIndex a, NodeIndex b, const LinkView& link, Sink&& sink) const {
  const UnknownPrices& price = policy_.unknown;
  sink(term(Term::latency, a, b, link.rtt_ms, price.latency));
  sink(term(Term::loss, a, b, link.loss_permille, price.loss));
  Known narrow = link.kbps;
  if (narrow.known()) narrow.value = narrowness(narrow.value);
  sink(term(Term::bandwidth, a, b, narrow, price.bandwidth));
  sink(term(Term::region, a, b, directory_.distance(directory_.region(a), directory_.region(b))));
  // How a link behaved only its ends know; of others' links the measured figures must do.
  if (!link.own) return;
  sink(term(Term::reliability, a, b, link.failed_permille, price.reliability));
  sink(term(Term::failures, a, b, link.failures.value));
  sink(term(Term::setup, a, b, link.state == LinkState::up ? 0.0F : 1.0F));
}

template <typename Sink>
void Scorer::node_terms(NodeIndex node, bool relay, Sink&& sink) const {
  Known busy = load(node);
  if (busy.known()) busy.value = queue(busy.value);
  sink(term(Term::load, node, kNoNode, busy, policy_.unknown.load));
  const int steps = static_cast<int>(Trust::high) - static_cast<int>(directory_.trust(node));
  sink(term(Term::trust, node, kNoNode, static_cast<float>(steps)));
  sink(term(Term::avoid, node, kNoNode, directory_.avoid(node)));
  if (!relay) return;
  sink(term(Term::role, node, kNoNode, role_steps(directory_.roles(node))));
  sink(term(Term::hop, node, kNoNode, 1.0F));
}

template <typename Sink>
void Scorer::path_terms(const Path& path, Sink&& sink) const {
  for (std::size_t i = 1; i < path.count; ++i) {
    const NodeIndex a = path.nodes[i - 1];
    const NodeIndex b = path.nodes[i];
    link_terms(a, b, view(a, b), sink);
    node_terms(b, i + 1u < path.count, sink);
  }
}

float Scorer::link_cost(NodeIndex a, NodeIndex b, const LinkView& link) const {
  float sum = 0;
  link_terms(a, b, link, [&sum](const TermValue& value) { sum += value.contribution; });
  return sum;
}

float Scorer::relay_cost(NodeIndex node) const {
  float sum = 0;
  node_terms(node, true, [&sum](const TermValue& value) { sum += value.contribution; });
  return sum;
}

float Scorer::destination_cost(NodeIndex node) const {
  float sum = 0;
  node_terms(node, false, [&sum](const TermValue& value) { sum += value.contribution; });
  return sum;
}

float Scorer::path_cost(const Path& path) const {
  float sum = 0;
  path_terms(path, [&sum](const TermValue& value) { sum += value.contribution; });
  return sum;
}

std::size_t Scorer::explain(const Path& path, std::span<TermValue> out) const {
  std::size_t count = 0;
  path_terms(path, [&](const TermValue& value) {
    if (count < out.size()) out[count++] = value;
  });
  return count;
}

Known Scorer::load(NodeIndex node) const {
  Known told = measurements_.load(node, now_.mono, policy_.decay);
  if (told.known()) return {told.value / 1000, told.confidence};
  const std::uint16_t said = directory_.load(node);
  if (said == kLoadUnknown) return {};
  return {static_cast<float>(said) / 1000, directory_load_confidence_};
}

}  // namespace rap::routing
