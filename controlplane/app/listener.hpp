// Hears what other servers (and this one) committed: PostgreSQL's NOTIFY.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "controlplane/db/sql.hpp"

namespace rap::cp {

// A thread with a connection of its own; reconnects by itself.
class NotificationListener {
 public:
  struct Callbacks {
    // Both run on the listener's thread.
    std::function<void(const Connection::Notification&)> heard;
    std::function<void()> reconnected;  // something may have been missed
  };
  NotificationListener(std::string url, std::vector<std::string> channels, Callbacks callbacks);
  ~NotificationListener();

 private:
  void run();

  std::string url_;
  std::vector<std::string> channels_;
  Callbacks callbacks_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace rap::cp
