#include "fabric/relay/traffic.hpp"

namespace rap::fabric {

struct Traffic::Organization {
  Organization(TrafficLimits l, TokenBucket::TimePoint now)
      : limits(l), bucket(l.bytes_per_s, l.burst_bytes, now) {}
  TrafficLimits limits;
  TokenBucket bucket;
  TrafficCounts counts;
};

Traffic::Slot::Slot(std::shared_ptr<Organization> organization)
    : organization_(std::move(organization)) {
  ++organization_->counts.open;
  ++organization_->counts.streams;
}

Traffic::Slot& Traffic::Slot::operator=(Slot&& other) noexcept {
  std::swap(organization_, other.organization_);
  return *this;
}

Traffic::Slot::~Slot() {
  if (organization_) --organization_->counts.open;
}

std::chrono::nanoseconds Traffic::Slot::charge(std::uint64_t bytes,
                                               TokenBucket::TimePoint now) const {
  organization_->counts.bytes += bytes;
  const auto pause = organization_->bucket.charge(bytes, now);
  if (pause.count() > 0) ++organization_->counts.pauses;
  return pause;
}

Traffic::Traffic(TrafficLimits otherwise) : otherwise_(otherwise) {}

std::shared_ptr<Traffic::Organization> Traffic::find(const std::string& organization,
                                                     TokenBucket::TimePoint now) {
  auto& found = organizations_[organization];
  if (!found) found = std::make_shared<Organization>(otherwise_, now);
  return found;
}

void Traffic::set_limits(const std::string& organization, TrafficLimits limits,
                         TokenBucket::TimePoint now) {
  Organization& found = *find(organization, now);
  found.limits = limits;
  found.bucket = TokenBucket(limits.bytes_per_s, limits.burst_bytes, now);
}

std::optional<Traffic::Slot> Traffic::open(const std::string& organization,
                                           TokenBucket::TimePoint now) {
  auto found = find(organization, now);
  if (found->counts.open >= found->limits.streams_max) {
    ++found->counts.streams_refused;
    return std::nullopt;
  }
  return Slot(std::move(found));
}

TrafficCounts Traffic::counts(const std::string& organization) const {
  const auto at = organizations_.find(organization);
  return at == organizations_.end() ? TrafficCounts{} : at->second->counts;
}

}  // namespace rap::fabric
