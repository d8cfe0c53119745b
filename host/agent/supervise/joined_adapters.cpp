#include "host/agent/supervise/joined_adapters.hpp"

#include <algorithm>
#include <set>

#include "base/bytes.hpp"
#include "base/crypto.hpp"

namespace rap::agent {

std::string configuration_hash(const std::string& config_json) {
  return to_hex(sha256(config_json));
}

JoinedAdapters::Entry& JoinedAdapters::entry(const std::string& adapter) {
  const auto found = entries_.find(adapter);
  if (found != entries_.end()) return found->second;
  return entries_.emplace(adapter, Entry(limits_)).first->second;
}

JoinedAdapters::Entry* JoinedAdapters::find(const std::string& adapter) {
  const auto found = entries_.find(adapter);
  return found == entries_.end() ? nullptr : &found->second;
}

void JoinedAdapters::want(const std::vector<JoinedRole>& roles) {
  std::set<std::string> wanted;
  for (const JoinedRole& role : roles) {
    if (!wanted.insert(role.adapter.id).second) continue;
    Entry& at = entry(role.adapter.id);
    const bool same = at.wanted && at.wanted->config_json == role.config_json &&
                      at.wanted->assignment_id == role.assignment_id;
    at.wanted = role;
    if (same) continue;
    at.never = false;
    at.not_before = {};
    at.policy.changed();
  }
  for (auto& [id, at] : entries_) {
    if (!wanted.contains(id)) at.wanted.reset();
  }
  forget_absent();
}

void JoinedAdapters::forget_absent() {
  std::erase_if(entries_, [](const auto& each) {
    return each.second.at == At::absent && !each.second.wanted;
  });
}

void JoinedAdapters::retry() {
  for (auto& [id, at] : entries_) {
    at.never = false;
    at.not_before = {};
    at.policy.changed();
  }
}

void JoinedAdapters::found(const std::map<std::string, bool>& there, const JoinedRecords& noted) {
  for (const auto& [id, draining] : there) entry(id);
  for (auto& [id, at] : entries_) {
    const auto now = there.find(id);
    const auto known = noted.find(id);
    at.at = now == there.end() ? At::absent : now->second ? At::leaving : At::running;
    at.has = at.at == At::absent || known == noted.end() ? "" : known->second;
    at.failed = false;
    at.level = "ok";
    at.note.clear();
  }
  forget_absent();
}

void JoinedAdapters::gone() {
  found({}, {});
  for (auto& [id, at] : entries_) at.not_before = {};
}

std::optional<JoinedAdapters::Step> JoinedAdapters::next(Time now) const {
  for (const auto& [id, at] : entries_) {
    if (at.at == At::running) {
      if (at.failed) return Step{Step::Kind::remove_now, id, {}};
      if (!at.wanted || configuration_hash(at.wanted->config_json) != at.has) {
        return Step{Step::Kind::remove, id, {}};
      }
    }
    const bool may = at.at == At::absent && at.wanted && !at.never && !at.policy.given_up();
    if (may && now >= at.not_before) return Step{Step::Kind::add, id, *at.wanted};
  }
  return std::nullopt;
}

std::optional<JoinedAdapters::Time> JoinedAdapters::next_at() const {
  std::optional<Time> out;
  for (const auto& [id, at] : entries_) {
    if (at.at != At::absent || !at.wanted || at.never || at.policy.given_up()) continue;
    out = out ? std::min(*out, at.not_before) : at.not_before;
  }
  return out;
}

void JoinedAdapters::added(const JoinedRole& role, Time now) {
  Entry& at = entry(role.adapter.id);  // it may be wanted no more: then it leaves next
  at.at = At::running;
  at.failed = false;
  at.trouble.clear();
  at.policy.started(now);
  at.has = configuration_hash(role.config_json);
}

void JoinedAdapters::wait(Entry& at, std::string why, Time now, std::uint64_t random) {
  const auto pause = at.policy.ended(now, random);
  at.trouble = std::move(why);
  if (pause) at.not_before = now + *pause;
}

void JoinedAdapters::refused(const std::string& adapter, const Error& why, Time now,
                             std::uint64_t random) {
  Entry* at = find(adapter);
  if (at == nullptr || at->at != At::absent) return;
  if (why.code != Errc::invalid) return wait(*at, why.detail, now, random);
  at->never = true;
  at->trouble = why.detail;
}

void JoinedAdapters::leaving(const std::string& adapter) {
  if (Entry* at = find(adapter); at != nullptr && at->at == At::running) at->at = At::leaving;
}

void JoinedAdapters::ended(const std::string& adapter, Time now, std::uint64_t random) {
  Entry* at = find(adapter);
  if (at == nullptr || at->at == At::absent) return;
  if (!at->wanted) {
    entries_.erase(adapter);
    return;
  }
  at->at = At::absent;
  if (std::exchange(at->failed, false)) wait(*at, "the adapter failed: " + at->note, now, random);
  at->level = "ok";
  at->note.clear();
}

void JoinedAdapters::health(const std::string& adapter, const std::string& level,
                            std::string note) {
  Entry* at = find(adapter);
  if (at == nullptr || at->at == At::absent) return;
  at->level = level;
  at->note = std::move(note);
  at->failed = level == "failed";
}

JoinedRecords JoinedAdapters::records() const {
  JoinedRecords out;
  for (const auto& [id, at] : entries_) {
    if (at.at != At::absent) out[id] = at.has;
  }
  return out;
}

std::map<std::string, JoinedAdapters::State> JoinedAdapters::states() const {
  std::map<std::string, State> out;
  for (const auto& [id, at] : entries_) {
    if (!at.wanted) continue;
    State& state = out[id];
    if (at.at == At::leaving) {
      state = {WorkloadState::starting, "waits until its predecessor has ended"};
    } else if (at.at == At::running) {
      state = {at.level == "ok" ? WorkloadState::running : WorkloadState::degraded, at.note};
      if (at.level != "ok" && at.note.empty()) state.second = "the adapter gives no reason";
    } else if (at.never) {
      state = {WorkloadState::degraded, at.trouble + "; until its release or assignment changes"};
    } else if (at.policy.given_up()) {
      state = {WorkloadState::failed, at.trouble + "; given up after " +
                                          std::to_string(at.policy.recent_ends()) +
                                          " tries, until its release or assignment changes"};
    } else {
      state = {WorkloadState::starting, at.trouble.empty() ? "" : at.trouble + "; starting again"};
    }
  }
  return out;
}

}  // namespace rap::agent
