#include "fabric/ends/admission.hpp"

#include <algorithm>

namespace rap::fabric {

struct Admission::State {
  struct Share {
    std::size_t streams = 0;
    double left = 0;
    TimePoint at{};
  };

  AdmissionLimits limits;
  std::size_t streams = 0;
  std::map<std::string, Share> shares;

  void refill(Share& share, TimePoint now) const {
    const double seconds = std::chrono::duration<double>(now - share.at).count();
    share.left = std::min(limits.burst, share.left + std::max(0.0, seconds) * limits.per_second);
    share.at = std::max(share.at, now);
  }

  // A share that has nothing and lacks nothing says no more than none.
  void forget_full(TimePoint now) {
    for (auto it = shares.begin(); it != shares.end();) {
      Share& share = it->second;
      if (share.streams == 0) refill(share, now);
      it = share.streams == 0 && share.left >= limits.burst ? shares.erase(it) : std::next(it);
    }
  }
};

namespace {
// More shares than that are looked through for those that can be forgotten.
constexpr std::size_t kSharesKept = 256;
}  // namespace

Admission::Place::Place(std::shared_ptr<State> state, std::string organization)
    : state_(std::move(state)), organization_(std::move(organization)) {
  ++state_->streams;
  ++state_->shares[organization_].streams;
}

Admission::Place::~Place() {
  --state_->streams;
  --state_->shares[organization_].streams;
}

Admission::Admission(AdmissionLimits limits) : state_(std::make_shared<State>()) {
  state_->limits = limits;
}

Result<std::unique_ptr<Admission::Place>> Admission::admit(const std::string& organization,
                                                           TimePoint now) {
  const AdmissionLimits& limits = state_->limits;
  if (state_->shares.size() > kSharesKept) state_->forget_full(now);
  const auto [entry, fresh] = state_->shares.try_emplace(organization);
  State::Share& share = entry->second;
  if (fresh) {
    share.left = limits.burst;
    share.at = now;
  }
  state_->refill(share, now);
  if (state_->streams >= limits.streams_max) {
    return fail(Errc::exhausted, "too many streams here; try again");
  }
  if (share.streams >= limits.of_organization_max) {
    return fail(Errc::exhausted, "too many streams of this organization here");
  }
  if (share.left < 1) {
    return fail(Errc::exhausted, "this organization opens streams too fast; try again");
  }
  share.left -= 1;
  return std::make_unique<Place>(state_, organization);
}

std::size_t Admission::streams() const {
  return state_->streams;
}

std::map<std::string, std::size_t> Admission::by_organization() const {
  std::map<std::string, std::size_t> out;
  for (const auto& [organization, share] : state_->shares) {
    if (share.streams > 0) out[organization] = share.streams;
  }
  return out;
}

}  // namespace rap::fabric
