// Time of resumable streams behind a seam, so that tests move it by hand.
#pragma once

#include "base/net/event.hpp"
#include "fabric/resume/limits.hpp"

namespace rap::resume {

class ResumeClock {
 public:
  virtual ~ResumeClock() = default;
  virtual TimePoint now() const = 0;
  // Returns when `event` is set or `until` has come, and may return earlier.
  virtual net::Task<void> wait(net::Event& event, TimePoint until) const = 0;
};

class RealResumeClock final : public ResumeClock {
 public:
  TimePoint now() const override;
  net::Task<void> wait(net::Event& event, TimePoint until) const override;
};

// Runs `task` until it has ended, `until` has come or `*stop` is true when `wake` is set; in the
// last two cases cancels it and waits for it. True when it ended by itself; rethrows its NetError.
// `wake` is reset; nobody else may wait for it meanwhile.
net::Task<bool> run_until(const ResumeClock& clock, net::Event& wake, net::Task<void> task,
                          TimePoint until, const bool* stop = nullptr);

}  // namespace rap::resume
