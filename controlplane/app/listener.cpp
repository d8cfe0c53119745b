#include "controlplane/app/listener.hpp"

#include "base/log.hpp"

namespace rap::cp {
namespace {

// How soon the thread notices that it should stop, or that the connection is gone.
constexpr std::chrono::milliseconds kSlice{200};
constexpr std::chrono::milliseconds kReconnectPause{500};

}  // namespace

NotificationListener::NotificationListener(std::string url, std::vector<std::string> channels,
                                           Callbacks callbacks)
    : url_(std::move(url)),
      channels_(std::move(channels)),
      callbacks_(std::move(callbacks)),
      thread_([this] { run(); }) {}

NotificationListener::~NotificationListener() {
  stopping_ = true;
  thread_.join();
}

void NotificationListener::run() {
  while (!stopping_) {
    try {
      Connection connection(url_);
      for (const std::string& channel : channels_) connection.listen(channel);
      callbacks_.reconnected();
      while (!stopping_) {
        for (const auto& notification : connection.wait_notifications(kSlice)) {
          callbacks_.heard(notification);
        }
        if (!connection.usable()) break;
      }
    } catch (const std::exception& error) {
      log::debug("notifications away", {{"detail", error.what()}});
    }
    for (auto waited = kSlice * 0; waited < kReconnectPause && !stopping_; waited += kSlice) {
      std::this_thread::sleep_for(kSlice);
    }
  }
}

}  // namespace rap::cp
