#include "fabric/routing/measurements.hpp"

#include <algorithm>
#include <cmath>

namespace rap::routing {

namespace {

constexpr float kRttMaxMs = 60'000;   // longer than any deadline of ours: not a measurement
constexpr float kKbpsMax = 1e9F;      // 1 Tbit/s
constexpr float kFailuresMax = 8;     // more would only take longer to forgive
constexpr float kRttGain = 1.0F / 8;  // RFC 6298, section 2
constexpr float kLossGain = 1.0F / 16;
constexpr float kReliabilityGain = 1.0F / 5;

bool in_range(float value, float most) {
  return std::isfinite(value) && value >= 0 && value <= most;
}

void smooth(Sample& sample, float value, float gain, MonoTime at) {
  sample.value = sample.ever() ? sample.value + gain * (value - sample.value) : value;
  sample.at = at;
}

float faded_failures(const Sample& failures, MonoTime now, const Decay& decay) {
  return failures.ever() ? failures.value * confidence(failures.at, now, 0, decay.failure_ms) : 0;
}

Known known(const Sample& sample, MonoTime now, std::uint32_t fresh_ms, std::uint32_t stale_ms) {
  return {sample.value, confidence(sample.at, now, fresh_ms, stale_ms)};
}

}  // namespace

float confidence(MonoTime at, MonoTime now, std::uint32_t fresh_ms, std::uint32_t stale_ms) {
  if (at == kNever) return 0;
  const std::int64_t age = std::max<std::int64_t>(0, (now - at).count());
  if (age >= stale_ms) return 0;
  if (age <= fresh_ms) return 1;
  return static_cast<float>(stale_ms - age) / static_cast<float>(stale_ms - fresh_ms);
}

OwnLink& Measurements::own_at(NodeIndex peer, MonoTime& at) {
  latest_ = std::max(latest_, at);
  at = latest_;
  return own_.at(peer);
}

void Measurements::link_up(NodeIndex peer, MonoTime at) {
  OwnLink& link = own_at(peer, at);
  if (link.state == LinkState::up) return;
  link.state = LinkState::up;
  link.state_since = at;
  smooth(link.failed_permille, 0, kReliabilityGain, at);
}

void Measurements::failed(OwnLink& link, MonoTime at, const Decay& decay) {
  link.failures.value = std::min(kFailuresMax, faded_failures(link.failures, at, decay) + 1);
  link.failures.at = at;
  smooth(link.failed_permille, 1000, kReliabilityGain, at);
}

void Measurements::link_down(NodeIndex peer, DownCause cause, MonoTime at, const Decay& decay) {
  OwnLink& link = own_at(peer, at);
  if (cause == DownCause::lost) {
    failed(link, at, decay);
    link.state = LinkState::down;
  } else {
    link.state = LinkState::unknown;
  }
  link.state_since = at;
}

void Measurements::dial_failed(NodeIndex peer, MonoTime at, const Decay& decay) {
  OwnLink& link = own_at(peer, at);
  failed(link, at, decay);
  if (link.state == LinkState::up) return;  // another connection to it lives
  link.state = LinkState::down;
  link.state_since = at;
}

bool Measurements::ping(NodeIndex peer, float rtt_ms, MonoTime at, const Decay& decay) {
  if (!in_range(rtt_ms, kRttMaxMs)) return false;
  OwnLink& link = own_at(peer, at);
  // What is stale says nothing about now: begin again.
  if (confidence(link.rtt_ms.at, at, 0, decay.own_stale_ms) == 0) link.rtt_ms = {};
  smooth(link.rtt_ms, rtt_ms, kRttGain, at);
  smooth(link.loss_permille, 0, kLossGain, at);
  return true;
}

void Measurements::ping_lost(NodeIndex peer, MonoTime at) {
  OwnLink& link = own_at(peer, at);
  if (!link.loss_permille.ever()) link.loss_permille = {0, at};
  smooth(link.loss_permille, 1000, kLossGain, at);
}

bool Measurements::bandwidth(NodeIndex peer, float kbps, MonoTime at) {
  if (!in_range(kbps, kKbpsMax)) return false;
  own_at(peer, at).kbps = {kbps, at};
  return true;
}

Status Measurements::told(NodeIndex a, NodeIndex b, const Report& report, MonoTime measured_at,
                          MonoTime now, const Decay& decay) {
  if (a == b) return fail(Errc::invalid, "link report: one node at both ends");
  if (!in_range(report.rtt_ms.value_or(0), kRttMaxMs) ||
      !in_range(report.loss_permille.value_or(0), 1000) ||
      !in_range(report.kbps.value_or(0), kKbpsMax)) {
    return fail(Errc::invalid, "link report: a figure out of range");
  }
  measured_at = std::min(measured_at, now);  // the reporter's clock may be ahead
  const std::uint64_t key = pair_key(a, b);
  const Told* before = told_.find(key);
  if (before != nullptr && before->at >= measured_at) {
    return fail(Errc::rollback, "link report: not newer than what is known");
  }
  if (before == nullptr && told_.size() >= kToldMax) {
    told_.keep_if([&](std::uint64_t, const Told& told) {
      return confidence(told.at, now, 0, decay.told_stale_ms) > 0;
    });
    if (told_.size() >= kToldMax) return fail(Errc::exhausted, "link reports: more than 65536");
  }
  told_.at(key) = Told{measured_at, report.rtt_ms.value_or(-1), report.loss_permille.value_or(-1),
                       report.kbps.value_or(-1), report.state};
  return {};
}

Status Measurements::told_load(NodeIndex node, std::uint16_t permille, MonoTime measured_at) {
  if (permille > kLoadMax) return fail(Errc::invalid, "load report: over 1000 permille");
  Sample& sample = loads_.at(node);
  if (sample.ever() && sample.at >= measured_at) {
    return fail(Errc::rollback, "load report: not newer than what is known");
  }
  sample = {static_cast<float>(permille), measured_at};
  return {};
}

LinkView Measurements::link(NodeIndex self, NodeIndex a, NodeIndex b, MonoTime now,
                            const Decay& decay) const {
  LinkView view;
  if (a == self || b == self) {
    view.own = true;
    const OwnLink* link = own_.find(a == self ? b : a);
    if (link == nullptr) return view;
    view.state = link->state;
    if (link->state == LinkState::up) view.up_since = link->state_since;
    if (link->state == LinkState::down && confidence(link->state_since, now, 0, decay.down_ms) == 0)
      view.state = LinkState::unknown;  // long enough ago to try again
    view.rtt_ms = known(link->rtt_ms, now, decay.own_fresh_ms, decay.own_stale_ms);
    view.loss_permille = known(link->loss_permille, now, decay.own_fresh_ms, decay.own_stale_ms);
    view.kbps = known(link->kbps, now, decay.own_fresh_ms, decay.own_stale_ms);
    view.failed_permille =
        known(link->failed_permille, now, decay.own_fresh_ms, decay.own_stale_ms);
    view.failures = {faded_failures(link->failures, now, decay), 1};
    return view;
  }
  const Told* told = told_.find(pair_key(a, b));
  if (told == nullptr) return view;
  const float weight = confidence(told->at, now, decay.told_fresh_ms, decay.told_stale_ms);
  if (weight == 0) return view;
  view.state = told->state;
  if (told->state == LinkState::down && confidence(told->at, now, 0, decay.down_ms) == 0)
    view.state = LinkState::unknown;
  if (told->rtt_ms >= 0) view.rtt_ms = {told->rtt_ms, weight};
  if (told->loss_permille >= 0) view.loss_permille = {told->loss_permille, weight};
  if (told->kbps >= 0) view.kbps = {told->kbps, weight};
  return view;
}

Known Measurements::load(NodeIndex node, MonoTime now, const Decay& decay) const {
  const Sample* sample = loads_.find(node);
  if (sample == nullptr) return {};
  return known(*sample, now, decay.told_fresh_ms, decay.told_stale_ms);
}

Measurements Measurements::rebound(const Directory& from, const Directory& to) const {
  // Both are in the order of ids: one walk finds everybody.
  std::vector<NodeIndex> moved(from.size(), kNoNode);
  NodeIndex there = 0;
  for (NodeIndex i = 0; i < moved.size(); ++i) {
    while (there < to.size() && to.id(there) < from.id(i)) ++there;
    if (there < to.size() && to.id(there) == from.id(i)) moved[i] = there;
  }
  const auto now_at = [&](std::uint64_t index) {
    return index < moved.size() ? moved[index] : kNoNode;
  };
  Measurements out;
  out.latest_ = latest_;
  for (const auto& [peer, link] : own_.entries()) {
    if (now_at(peer) != kNoNode) out.own_.at(now_at(peer)) = link;
  }
  for (const auto& [key, told] : told_.entries()) {
    const NodeIndex a = now_at(key >> 32);
    const NodeIndex b = now_at(key & 0xffffffffu);
    if (a != kNoNode && b != kNoNode) out.told_.at(pair_key(a, b)) = told;
  }
  for (const auto& [node, load] : loads_.entries()) {
    if (now_at(node) != kNoNode) out.loads_.at(now_at(node)) = load;
  }
  return out;
}

}  // namespace rap::routing
