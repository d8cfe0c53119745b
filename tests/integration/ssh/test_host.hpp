// The host side of the plugin ABI for one session, in one thread, without a sandbox.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <rap/rap.hpp>

#include "tests/support/patience.hpp"

namespace rap::ssh {

struct SeenFrame {
  std::uint16_t channel = 0;
  std::uint16_t flags = 0;
  std::string data;
};

class TestHost {
 public:
  // Loads the plugin, creates its adapter and starts it.
  explicit TestHost(const char* plugin_path);
  ~TestHost();

  // What the target and its secret are.
  int port = 0;
  std::string secret;
  rap_result secret_result = RAP_OK;
  std::string secret_ref = "sec_1";

  rap_result open(const std::string& options_json, std::uint32_t cols = 80,
                  std::uint32_t rows = 24);
  void attach(std::uint64_t id, std::uint32_t mode, std::uint32_t cols = 0, std::uint32_t rows = 0);
  rap_result input(const std::string& bytes);
  void resize(std::uint32_t cols, std::uint32_t rows);
  void writable();
  void close();

  // Runs the loop until `done`, at most for `limit`; returns whether it was.
  bool run(const std::function<bool()>& done, std::chrono::milliseconds limit = test::kPatience);
  // Types a line and waits until the output contains `expected`.
  bool type(const std::string& line, const std::string& expected);

  bool attached = false;  // else frames are dropped, as the ABI says
  bool keep_frames = true;
  std::size_t busy_after = SIZE_MAX;  // bytes of terminal output until emit answers RAP_E_BUSY
  std::size_t terminal_bytes = 0;
  std::size_t io_calls = 0;  // how often a watched descriptor woke the plugin
  std::vector<SeenFrame> frames;
  std::string output;   // of the terminal
  std::string control;  // the last control frame
  std::optional<std::pair<rap_result, std::string>> opened;
  std::optional<std::pair<rap_result, std::string>> closed;
  std::string last_failure;
  int stream_fd = -1;  // a duplicate, to cut the connection with

 private:
  friend struct HostTables;
  struct TimerEntry {
    std::chrono::steady_clock::time_point due;
    std::uint64_t every_ms;
    rap_task_fn task;
    void* user;
  };
  struct WatchEntry {
    std::uint32_t events;
    rap_io_fn call;
    void* user;
  };

  void turn(int wait_ms);

  rap_host host_{};
  const rap_plugin* plugin_ = nullptr;
  rap_adapter* adapter_ = nullptr;
  const rap_adapter_session_1* sessions_ = nullptr;
  rap_session* session_ = nullptr;
  std::deque<std::function<void()>> posted_;
  std::map<std::uint64_t, TimerEntry> timers_;
  std::map<int, WatchEntry> watches_;
  std::uint64_t next_id_ = 1;
};

}  // namespace rap::ssh
