// What supervised processes print, as lines of the agent's own log with the workload's names.
//
// Each process writes into a named pipe that it holds open for reading too, without blocking: an
// agent that is away costs it lines, never its life, and the next agent opens the pipe again.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "host/agent/run/context.hpp"

namespace rap::agent {

struct LogLabels {
  std::string instance;
  std::string workload;  // product, or "mesh-listener"
  std::string organization;
};

// A plugin that prints in a loop must not fill the host's disk. Pure: the time comes from the
// caller.
class LineLimiter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr int kLinesPerSecondMax = 200;

  struct Verdict {
    bool keep = true;
    std::uint64_t dropped = 0;  // in the second that has just ended; say so
  };
  Verdict line(Time now) {
    Verdict out;
    if (now - second_ >= std::chrono::seconds(1)) {
      second_ = now;
      lines_ = 0;
      out.dropped = dropped_;
      dropped_ = 0;
    }
    out.keep = ++lines_ <= kLinesPerSecondMax;
    if (!out.keep) ++dropped_;
    return out;
  }

 private:
  Time second_{};
  int lines_ = 0;
  std::uint64_t dropped_ = 0;
};

// A line of a process goes into the log: counts it, and says when some were left out.
bool keep_line(LineLimiter& limiter, Counters& counters, const std::string& instance);

class LogCapture {
 public:
  explicit LogCapture(Context& context);
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  // Creates the pipe and reads from it until all writers are gone; then it is removed. The
  // descriptor is for the process.
  Result<Fd> open(const LogLabels& labels);
  // Reads on from the pipe of a process that an earlier agent started, perhaps one of a release
  // that called it otherwise.
  void reopen(const LogLabels& labels);

 private:
  struct Reader;
  void start(const LogLabels& labels, Fd read_end, std::filesystem::path path);
  static net::Task<void> read_loop(Context& context, std::shared_ptr<Reader> reader);

  Context& context_;
};

// One line of a process: its own JSON log line is taken apart, anything else is a message; bytes
// that are not UTF-8 become '?'. Pure.
struct CapturedLine {
  std::string level = "info";
  std::string message;
  std::string fields;  // the rest of a JSON line, serialized; empty when there is none
};
CapturedLine parse_captured_line(std::string_view line);

}  // namespace rap::agent
