// The way from other threads to the host's loop.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include <rap/rap.hpp>

namespace rap::mesh {

// Made and closed on the loop thread; lives until `destroy`, after which the host runs no task of
// the adapter any more.
class LoopQueue {
 public:
  explicit LoopQueue(Host host) : host_(host), loop_(host.need<rap_host_loop_1>()) {}

  // Any thread. Runs `work` on the loop thread, in order; after close() it is dropped.
  void post(std::function<void()> work) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      work_.push_back(std::move(work));
      if (std::exchange(due_, true)) return;
    }
    (void)loop_.post(host_.raw, rap::task<LoopQueue, &LoopQueue::run>, this);
  }
  void close() {
    std::vector<std::function<void()>> dropped;
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(work_);
  }
  // rap::task
  void run() {
    std::vector<std::function<void()>> now;
    {
      const std::lock_guard lock(mutex_);
      now.swap(work_);
      due_ = false;
    }
    for (const auto& work : now) work();
  }
  void callback_failed(rap_result, const char* text) { host_.log(RAP_LOG_ERROR, text); }

 private:
  const Host host_;
  const rap_host_loop_1& loop_;
  std::mutex mutex_;  // guards what follows
  std::vector<std::function<void()>> work_;
  bool due_ = false;
  bool closed_ = false;
};

}  // namespace rap::mesh
