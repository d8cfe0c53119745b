// Every number of a resumable stream that may be chosen; docs/contracts/resume.md says why.
#pragma once

#include <chrono>
#include <cstdint>

namespace rap::resume {

using TimePoint = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

struct ResumeLimits {
  // Bytes of one direction that nobody has taken yet, kept for sending again;
  // kWindowMin..kWindowMax.
  std::uint32_t window = 512 * 1024;
  milliseconds ack_delay{25};
  milliseconds probe_busy{1'000};     // silence while something of ours is not acknowledged
  milliseconds probe_idle{15'000};    // silence else
  milliseconds probe_timeout{3'000};  // silence after asking
  milliseconds hello_timeout{5'000};  // for the first frame of a transport
  milliseconds try_timeout{5'000};    // for one way: opening, RESUME, RESUMED
  milliseconds retry_first{50};       // between tries, after one without a wait; doubles
  milliseconds retry_max{1'000};
  milliseconds resume_window{30'000};  // without a transport; then the stream has failed
  milliseconds close_timeout{1'000};   // for a last frame
};

}  // namespace rap::resume
