// Runs one piece of work on a plugin in a process of its own, inside the real sandbox of
// rap-worker.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/result.hpp"
#include "host/worker/sandbox.hpp"

namespace rap::check {

// What the work sees. Lives in the box; stage one holds already.
class Box {
 public:
  Box(sandbox::Report& report, const sandbox::StageTwo& stage_two)
      : report_(report), stage_two_(stage_two) {}
  // Closes the box for good: what runs afterwards has what a session has.
  Status close() { return stage_two_.apply(report_); }
  const sandbox::Report& report() const { return report_; }

 private:
  sandbox::Report& report_;
  const sandbox::StageTwo& stage_two_;
};

struct Finished {
  enum class How { answered, exited, signalled, timed_out } how = How::answered;
  int signal = 0;
  std::string answer;  // what the work returned
  std::string output;  // the end of what was printed
  std::chrono::milliseconds took{0};

  // "died of signal 11 (Segmentation fault)"; empty for an answer.
  std::string trouble() const;
};

// Calls `work` in the box with `keep_fd` (or -1) still open, and waits at most `limit`, then kills
// the whole box. An answer has at most 1 MiB. The caller must have one thread.
Finished run_boxed(int keep_fd, std::chrono::milliseconds limit,
                   const std::function<std::string(Box&)>& work);

}  // namespace rap::check
