// A host for one adapter under test: every table of rap/ext/host.h, in one process, with the thread
// and lifetime rules checked at each call. What it grants is what the test says.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "rap/ext/mesh.h"

// The host's handle of one session; C++ callers outside of this folder never see inside.
struct rap_sink {
  bool open = true;
  bool pending = false;            // `open` answered RAP_PENDING
  bool opened = false;             // `opened` was called
  bool gone = false;               // `closed` was called
  rap_result result = RAP_OK;      // what `opened` or `closed` said
  bool key_is_due = false;         // somebody attached and has seen nothing yet
  bool began_without_key = false;  // ... and then saw an ordinary frame first
  std::uint64_t frames = 0;        // since the beginning
  std::uint32_t queued = 0;        // since the last pump
};

namespace rap::check {

class TestHost {
 public:
  // Must be made on the thread that calls the adapter: that is the loop thread.
  explicit TestHost(std::set<std::string> granted);
  ~TestHost();
  TestHost(const TestHost&) = delete;
  TestHost& operator=(const TestHost&) = delete;

  const rap_host* abi() const { return &abi_; }
  // Every id this host can offer.
  static const std::vector<std::string>& known_ids();

  rap_sink* new_sink();
  // Empties the queues of the sessions, then runs what was posted, is due, or is ready, until
  // `done` says so or the time is over.
  void pump(std::chrono::milliseconds most, const std::function<bool()>& done);

  // The text of the last fail() call.
  const std::string& failure() const { return failure_; }
  // Broken rules the host noticed, each with its number.
  std::vector<std::string> complaints();

 private:
  friend struct Tables;
  struct Timer {
    std::chrono::steady_clock::time_point at;
    std::uint64_t every_ms;
    rap_task_fn run;
    void* user;
  };
  struct Watch {
    std::uint32_t events;
    rap_io_fn run;
    void* user;
  };
  struct Task {
    rap_task_fn run;
    void* user;
  };
  struct StreamEnd {
    rap_stream_fn run;
    void* user;
  };
  struct SecretEnd {
    rap_secret_fn run;
    void* user;
  };

  void complain(const std::string& text);
  // Whether this is the loop thread; complains otherwise.
  bool on_loop(const char* what);
  bool step();
  bool run_due_timers();
  bool poll_watches(int wait_ms);

  rap_host abi_{};
  std::set<std::string> granted_;
  std::thread::id loop_ = std::this_thread::get_id();
  std::string failure_;
  std::vector<std::unique_ptr<rap_sink>> sinks_;
  std::map<std::uint64_t, Timer> timers_;
  std::map<int, Watch> watches_;
  std::uint64_t next_id_ = 1;

  std::mutex mutex_;  // guards what follows: RAP_ANY functions touch it
  std::deque<Task> tasks_;
  std::deque<StreamEnd> streams_;
  std::deque<SecretEnd> secrets_;
  std::vector<std::string> complaints_;
};

}  // namespace rap::check
