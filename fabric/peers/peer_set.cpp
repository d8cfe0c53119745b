#include "fabric/peers/peer_set.hpp"

#include <algorithm>

#include "fabric/peers/candidates.hpp"
#include "fabric/peers/selection.hpp"

namespace rap::peers {

using routing::kNever;
using routing::kNoNode;
using routing::PeerSizes;
using routing::Role;
using routing::Scorer;

namespace {

constexpr std::uint8_t kFailuresMax = 16;  // 2^16 times the first pause is beyond the longest
// A link that held this long was not a failure of the peer's.
constexpr MonoTime kProved{60'000};

}  // namespace

const PeerSizes& sizes_of(const Directory& directory, NodeIndex node) {
  const routing::Policy& policy = directory.policy();
  if (directory.has(node, Role::relay_node)) return policy.relay;
  return directory.thin(node) ? policy.thin : policy.normal;
}

PeerSet::PeerSet(std::uint64_t seed) : seed_(seed), random_(seed) {}

Peer* PeerSet::find(NodeIndex node) {
  return const_cast<Peer*>(static_cast<const PeerSet*>(this)->find(node));
}

const Peer* PeerSet::find(NodeIndex node) const {
  const auto at = std::find_if(peers_.begin(), peers_.end(),
                               [&](const Peer& peer) { return peer.node == node; });
  return at == peers_.end() ? nullptr : &*at;
}

std::size_t PeerSet::count(PeerState state) const {
  return static_cast<std::size_t>(std::count_if(
      peers_.begin(), peers_.end(), [&](const Peer& peer) { return peer.state == state; }));
}

Health PeerSet::health() const {
  const std::size_t now = active();
  if (now == 0) return Health::isolated;
  if (now < sizes_.low) return Health::filling;
  return now < sizes_.rest ? Health::settling : Health::steady;
}

MonoTime PeerSet::spread(MonoTime most) {
  return MonoTime{static_cast<std::int64_t>(random_.share() * static_cast<double>(most.count()))};
}

void PeerSet::set_state(Peer& peer, PeerState state, MonoTime now) {
  if (peer.state != state) peer.since = now;
  peer.state = state;
}

void PeerSet::urgent(MonoTime now) {
  const MonoTime soon = now + spread(kUrgentSpread);
  if (next_dial_ == kNever || next_dial_ > soon) next_dial_ = soon;
}

void PeerSet::back_off(Peer& peer, MonoTime now) {
  const MonoTime most = active() == 0 ? kBackoffIsolatedMax : kBackoffMax;
  const MonoTime pause = std::min(most, kBackoffFirst * (1 << peer.failures));
  peer.failures =
      std::min<std::uint8_t>(kFailuresMax, static_cast<std::uint8_t>(peer.failures + 1));
  // Half to one and a half times: what failed together does not come back together.
  peer.retry_at = now + pause / 2 + spread(pause);
}

void PeerSet::directory_changed(const Directory* before, const Directory& now_in_force,
                                NodeIndex self, Moment now, std::vector<Action>& out) {
  const auto moved = [&](NodeIndex node) {
    if (before == nullptr) return kNoNode;
    const std::string_view id = before->id(node);
    return now_in_force.id(node) == id ? node : now_in_force.find(id);
  };
  const PeerSizes& sizes = sizes_of(now_in_force, self);
  if (before != nullptr && before->membership() == now_in_force.membership() && sizes == sizes_) {
    return;  // only loads and attachments changed
  }
  self_ = self;
  std::vector<NodeIndex> leaves;
  for (const NodeIndex leaf : leaves_) {
    if (moved(leaf) != kNoNode) leaves.push_back(moved(leaf));
  }
  leaves_ = std::move(leaves);
  std::size_t kept = 0;
  for (Peer peer : peers_) {
    const NodeIndex old = peer.node;
    const bool engaged = peer.state == PeerState::active || peer.state == PeerState::dialling;
    peer.node = moved(old);
    if (peer.node == kNoNode) continue;  // the channel closes by itself: not in the directory
    const bool wanted = may_peer(now_in_force, self_, peer.node) ||
                        (peer.direction == Direction::inbound && engaged) ||
                        (now_in_force.draining(peer.node) && engaged);
    if (wanted && now_in_force.trust(peer.node) != routing::Trust::quarantined) {
      peers_[kept++] = peer;
    } else if (engaged) {
      out.push_back({ActionKind::drop, peer.node, Why::gone});
    }
  }
  const std::size_t lost = peers_.size() - kept;
  peers_.resize(kept);
  sizes_ = sizes;
  self_relay_ = now_in_force.has(self_, Role::relay_node);
  sample(now_in_force);
  if (lost > 0 && active() < sizes_.low) urgent(now.mono);
}

// Forgets cold ones that are not drawn any more and adds those that are.
void PeerSet::sample(const Directory& directory, Failed failed) {
  const std::size_t most = std::size_t{sizes_.cold} + sizes_.warm;
  const auto drawn = sample_candidates(directory, self_, seed_ + draw_, most);
  std::vector<NodeIndex> sorted(drawn);
  std::sort(sorted.begin(), sorted.end());
  std::erase_if(peers_, [&](const Peer& peer) {
    const bool keep = failed == Failed::keep && peer.failures > 0;
    return peer.state == PeerState::cold && !peer.remembered && !keep &&
           !std::binary_search(sorted.begin(), sorted.end(), peer.node);
  });
  std::size_t known = count(PeerState::cold) + count(PeerState::warm);
  for (const NodeIndex node : drawn) {
    if (known >= most) break;
    if (find(node) != nullptr) continue;
    peers_.push_back(Peer{.node = node});
    ++known;
  }
}

// What is not connected stays within the sizes: the cold and often failed go first.
void PeerSet::prune() {
  const std::size_t most = std::size_t{sizes_.cold} + sizes_.warm;
  while (peers_.size() - engaged() > most) {
    auto worst = peers_.end();
    for (auto at = peers_.begin(); at != peers_.end(); ++at) {
      if (at->state == PeerState::active || at->state == PeerState::dialling) continue;
      const bool colder = worst == peers_.end() || at->state < worst->state;
      const bool same = worst != peers_.end() && at->state == worst->state;
      if (colder || (same && at->failures > worst->failures)) worst = at;
    }
    peers_.erase(worst);
  }
}

void PeerSet::remember(const Directory& directory, std::span<const RememberedPeer> remembered) {
  for (const RememberedPeer& entry : remembered) {
    const NodeIndex node = directory.find(entry.node_id);
    if (node == kNoNode || !may_peer(directory, self_, node)) continue;
    if (peers_.size() >= 2u * (sizes_.cold + sizes_.warm) + sizes_.high) return;
    Peer* peer = find(node);
    if (peer == nullptr) peer = &peers_.emplace_back(Peer{.node = node});
    if (peer->state == PeerState::cold && entry.state != PeerState::cold) {
      peer->state = PeerState::warm;
    }
    peer->remembered = entry.state == PeerState::active;
  }
}

std::vector<RememberedPeer> PeerSet::remembered(const Directory& directory) const {
  std::vector<RememberedPeer> out;
  for (const PeerState state : {PeerState::active, PeerState::warm}) {
    for (const Peer& peer : peers_) {
      const bool useful = may_peer(directory, self_, peer.node);
      if (peer.state == state && useful)
        out.push_back({std::string(directory.id(peer.node)), state});
    }
  }
  return out;
}

Admission PeerSet::admit(const Directory& directory, NodeIndex node) const {
  if (!may_accept(directory, self_, node)) return Admission::foreign;
  if (self_relay_ && !directory.has(node, Role::relay_node)) {
    const bool known = std::find(leaves_.begin(), leaves_.end(), node) != leaves_.end();
    return known || leaves_.size() < sizes_.attached_max ? Admission::leaf : Admission::full;
  }
  const Peer* peer = find(node);
  const bool engaged_already =
      peer != nullptr && (peer->state == PeerState::active || peer->state == PeerState::dialling);
  return engaged_already || engaged() < sizes_.high ? Admission::peer : Admission::full;
}

void PeerSet::link_up(const Directory& directory, NodeIndex node, Direction direction,
                      MonoTime now) {
  if (direction == Direction::inbound && self_relay_ && !directory.has(node, Role::relay_node)) {
    if (std::find(leaves_.begin(), leaves_.end(), node) == leaves_.end()) leaves_.push_back(node);
    return;
  }
  Peer* peer = find(node);
  if (peer == nullptr) peer = &peers_.emplace_back(Peer{.node = node});
  if (peer->state == PeerState::active) return;  // both dialled at once: it is one peer
  peer->direction = direction;
  if (direction == Direction::inbound) peer->trial = false;
  peer->remembered = false;
  set_state(*peer, PeerState::active, now);
}

void PeerSet::link_down(const Directory& directory, NodeIndex node, DownCause cause, MonoTime now) {
  std::erase(leaves_, node);
  Peer* peer = find(node);
  if (peer == nullptr || peer->state != PeerState::active) return;
  const bool proved = now - peer->since >= kProved;
  if (proved) peer->failures = 0;
  set_state(*peer, PeerState::warm, now);
  peer->trial = false;
  peer->direction = Direction::outbound;
  if (cause == DownCause::lost) {
    back_off(*peer, now);
  } else {
    peer->retry_at = now + kBackoffFull / 2 + spread(kBackoffFull);
  }
  if (!may_peer(directory, self_, node)) {
    std::erase_if(peers_, [&](const Peer& p) { return p.node == node; });
  }
  prune();
  if (active() < sizes_.rest) urgent(now);
}

void PeerSet::dial_failed(NodeIndex node, DialError error, MonoTime now) {
  Peer* peer = find(node);
  if (peer == nullptr || peer->state != PeerState::dialling) return;
  // A cold place: others are tried first, and warm stays for those that may work.
  set_state(*peer, PeerState::cold, now);
  peer->remembered = false;
  peer->trial = false;
  if (error == DialError::full) {
    peer->retry_at = now + kBackoffFull / 2 + spread(kBackoffFull);
  } else {
    back_off(*peer, now);
  }
  if (active() < sizes_.low) urgent(now);
}

void PeerSet::dial(const Peer* chosen, Why why, MonoTime now, std::vector<Action>& out) {
  Peer* peer = find(chosen->node);
  set_state(*peer, PeerState::dialling, now);
  peer->direction = Direction::outbound;
  peer->trial = why == Why::trial;
  out.push_back({ActionKind::dial, peer->node, why});
}

void PeerSet::drop(const Directory& directory, const Peer* chosen, Why why, MonoTime now,
                   std::vector<Action>& out) {
  const NodeIndex node = chosen->node;
  link_down(directory, node, DownCause::dropped_by_us, now);
  out.push_back({ActionKind::drop, node, why});
}

void PeerSet::promote(const Selection& selection, MonoTime now, std::vector<Action>& out) {
  for (std::size_t warm = count(PeerState::warm); warm < sizes_.warm; ++warm) {
    const Peer* best = selection.best(PeerState::cold, now).peer;
    if (best == nullptr) return;
    set_state(*find(best->node), PeerState::warm, now);
    out.push_back({ActionKind::promote, best->node, Why::score});
  }
}

// Who was active before the restart, then warm, then cold, then the bootstrap nodes.
const Peer* PeerSet::next_to_dial(const Selection& selection, MonoTime now, Why& why) {
  if (const Peer* peer = selection.best_remembered(now)) {
    why = Why::remembered;
    return peer;
  }
  why = selection.engaged_relays() < sizes_.relays ? Why::relay : Why::missing;
  const Peer* warm = active() == 0 ? selection.best(PeerState::warm, now).peer : nullptr;
  if (warm != nullptr) return warm;
  if (const Peer* peer = selection.best_of_all(now)) return peer;
  if (active() > 0) return nullptr;
  why = Why::last_resort;
  for (const NodeIndex node : selection.directory.bootstraps()) {
    if (!may_peer(selection.directory, self_, node)) continue;
    if (find(node) == nullptr) return &peers_.emplace_back(Peer{.node = node});
  }
  return nullptr;
}

void PeerSet::dial_missing(const Selection& before, MonoTime now, std::vector<Action>& out) {
  Selection selection = before;
  const bool hurry = active() < sizes_.low || selection.engaged_relays() < sizes_.relays;
  std::size_t have = selection.engaged();
  const bool short_of_relays = selection.engaged_relays() < sizes_.relays;
  if (have >= sizes_.rest && !short_of_relays) return;
  if (next_dial_ == kNever) next_dial_ = now + spread(hurry ? kUrgentSpread : kRelaxedSpread);
  if (now < next_dial_) return;
  // In a hurry all at once, otherwise one at a time.
  const std::size_t wanted =
      hurry ? std::max<std::size_t>(1, sizes_.rest > have ? sizes_.rest - have : 0) : 1;
  bool dialled = false;
  for (std::size_t i = 0; i < wanted; ++i) {
    Why why = Why::missing;
    const Peer* next = next_to_dial(selection, now, why);
    selection.peers = peers_;
    if (next == nullptr) break;
    if (have >= sizes_.rest && !selection.is_relay(*next)) break;  // only a relay is missing
    if (engaged() >= sizes_.high) {  // the draining ones, too, are connections
      const Peer* least = selection.worst(Selection::Whom::anybody);
      if (least == nullptr) break;
      const NodeIndex node = next->node;
      drop(selection.directory, least, Why::make_room, now, out);
      next = find(node);
      if (next == nullptr) break;
      selection.peers = peers_;
      have = selection.engaged();
    }
    dial(next, why, now, out);
    dialled = true;
    ++have;
  }
  if (!dialled && active() == 0 && count(PeerState::dialling) == 0) {
    ++draw_;  // everybody we knew has failed: draw others
    sample(selection.directory, Failed::forget);
  }
  next_dial_ = now + spread(hurry ? kUrgentSpread : kRelaxedSpread) + kBackoffFirst / 2;
}

void PeerSet::lose_excess(const Selection& before, MonoTime now, std::vector<Action>& out) {
  Selection selection = before;
  while (active() > sizes_.high) {
    const Peer* least = selection.worst(Selection::Whom::anybody);
    if (least == nullptr) return;
    drop(selection.directory, least, Why::excess, now, out);
    selection.peers = peers_;
  }
  if (selection.engaged() < sizes_.rest) return;
  for (const Peer& peer : peers_) {
    if (peer.state != PeerState::active || !selection.directory.draining(peer.node)) continue;
    return drop(selection.directory, &peer, Why::draining, now, out);
  }
}

// From time to time the best warm peer is tried; the trial, or the worst of our own choice, goes.
void PeerSet::compare(const Selection& selection, MonoTime now, std::vector<Action>& out) {
  const Peer* trial = nullptr;
  for (const Peer& peer : peers_) {
    if (peer.trial) trial = &peer;
  }
  if (trial != nullptr) {
    if (trial->state != PeerState::active || now - trial->since < kTrialTime) return;
    const NodeIndex tried = trial->node;
    find(tried)->trial = false;
    if (active() <= sizes_.rest) return;  // meanwhile it is needed
    const Peer* least = selection.worst(Selection::Whom::outbound);
    const auto& hysteresis = selection.directory.policy().hysteresis;
    const bool wins =
        least != nullptr && least->node != tried &&
        selection.plain_cost(tried) <= selection.plain_cost(least->node) *
                                           static_cast<float>(1000 - hysteresis.margin_permille) /
                                           1000 &&
        selection.plain_cost(least->node) - selection.plain_cost(tried) >= hysteresis.margin_cost;
    return drop(selection.directory, wins ? least : find(tried), Why::worse, now, out);
  }
  if (next_trial_ == kNever) next_trial_ = now + kTrialEvery / 2 + spread(kTrialEvery);
  if (now < next_trial_ || selection.engaged() < sizes_.rest || engaged() >= sizes_.high) return;
  next_trial_ = now + kTrialEvery / 2 + spread(kTrialEvery);
  const Peer* next = selection.best(PeerState::warm, now).peer;
  if (next == nullptr || selection.worst(Selection::Whom::outbound) == nullptr) return;
  // Every other time anybody: the best by what is known is often just the one not known to be bad.
  if (random_.share() < 0.5) {
    std::size_t seen = 0;
    for (const Peer& peer : peers_) {
      if (peer.state != PeerState::warm || now < peer.retry_at) continue;
      if (random_.share() * static_cast<double>(++seen) < 1) next = &peer;
    }
  }
  dial(next, Why::trial, now, out);
}

void PeerSet::tick(const Directory& directory, const Measurements& measurements, Moment now,
                   std::vector<Action>& out) {
  const Scorer scorer(directory, measurements, routing::ChannelClass::interactive, self_, now);
  for (Peer& peer : peers_) {
    if (peer.state == PeerState::dialling && now.mono - peer.since > kDialMax) {
      dial_failed(peer.node, DialError::failed, now.mono);
    }
  }
  const Selection selection{directory, scorer, sizes_, self_, seed_, peers_};
  lose_excess(selection, now.mono, out);
  dial_missing(selection, now.mono, out);
  const Selection after{directory, scorer, sizes_, self_, seed_, peers_};
  compare(after, now.mono, out);
  // Without any peer the order of recovery is: remembered, warm, cold; nobody is moved up.
  if (active() > 0) promote(after, now.mono, out);
}

std::string_view name(Health health) {
  constexpr std::string_view kNames[] = {"isolated", "filling", "settling", "steady"};
  return kNames[static_cast<std::size_t>(health)];
}

std::string_view name(ActionKind kind) {
  constexpr std::string_view kNames[] = {"dial", "drop", "promote"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name(Why why) {
  constexpr std::string_view kNames[] = {"missing",     "relay",     "trial",    "remembered",
                                         "last-resort", "gone",      "draining", "excess",
                                         "worse",       "make-room", "score"};
  return kNames[static_cast<std::size_t>(why)];
}

}  // namespace rap::peers
