// How many streams an organization may have through one node, and how fast it may open them. Pure.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "base/result.hpp"

namespace rap::fabric {

struct AdmissionLimits {
  // 8,192 streams are 2 GiB of windows if everybody is hostile at once; descriptors are one for a
  // client, not for a stream.
  std::size_t streams_max = 8'192;
  // Of one organization: an eighth, so that eight hostile ones are needed to fill a node.
  std::size_t of_organization_max = 1'024;
  // After a relay's death all streams of an organization come back at once and must be let in; a
  // storm that goes on is not that.
  double burst = 1'024;
  double per_second = 100;
};

// One thread. Organizations are those of verified leases, so nobody can invent them.
class Admission {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct State;

  // Keeps the place of one stream for as long as it lives.
  class Place {
   public:
    Place(std::shared_ptr<State> state, std::string organization);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    std::shared_ptr<State> state_;
    std::string organization_;
  };

  explicit Admission(AdmissionLimits limits = {});

  // `exhausted` naming which limit; nothing of other organizations.
  Result<std::unique_ptr<Place>> admit(const std::string& organization, TimePoint now);

  std::size_t streams() const;
  // For the owner: streams of each organization that has some.
  std::map<std::string, std::size_t> by_organization() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace rap::fabric
