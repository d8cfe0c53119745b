// rap.host.loop/1
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

// Longer waits are a mistake in units.
constexpr std::uint64_t kTimerMsMax = 7ull * 24 * 3600 * 1000;

rap_result post(const rap_host* host, rap_task_fn task, void* user) {
  if (task == nullptr) return RAP_E_INVALID;
  PluginHost& self = PluginHost::of(host);
  self.post(
      [&self, task, user] { self.run_plugin_task("posted task", [task, user] { task(user); }); });
  return RAP_OK;
}

rap_result timer(const rap_host* host, std::uint64_t first_ms, std::uint64_t every_ms,
                 rap_task_fn task, void* user, std::uint64_t* id) {
  PluginHost& self = PluginHost::of(host);
  if (!self.on_loop_or_blame("rap.host.loop/1 timer()")) return RAP_E_STATE;
  if (task == nullptr || id == nullptr || first_ms > kTimerMsMax || every_ms > kTimerMsMax) {
    return RAP_E_INVALID;
  }
  *id = self.timer(
      std::chrono::milliseconds(first_ms), std::chrono::milliseconds(every_ms),
      [&self, task, user] { self.run_plugin_task("timer", [task, user] { task(user); }); });
  return RAP_OK;
}

rap_result timer_cancel(const rap_host* host, std::uint64_t id) {
  PluginHost& self = PluginHost::of(host);
  if (!self.on_loop_or_blame("rap.host.loop/1 timer_cancel()")) return RAP_E_STATE;
  return self.cancel_timer(id) ? RAP_OK : RAP_E_GONE;
}

rap_result watch(const rap_host* host, int fd, std::uint32_t events, rap_io_fn ready, void* user) {
  PluginHost& self = PluginHost::of(host);
  if (!self.on_loop_or_blame("rap.host.loop/1 watch()")) return RAP_E_STATE;
  if (ready == nullptr || fd < 0) return RAP_E_INVALID;
  static_assert(RAP_IO_READ == kRead && RAP_IO_WRITE == kWrite && RAP_IO_ERROR == kError);
  auto watched = self.watch(
      fd, events & (RAP_IO_READ | RAP_IO_WRITE), [&self, fd, ready, user](std::uint32_t seen) {
        self.run_plugin_task("descriptor callback", [&] { ready(user, fd, seen); });
      });
  return watched ? RAP_OK : RAP_E_INVALID;
}

rap_result unwatch(const rap_host* host, int fd) {
  PluginHost& self = PluginHost::of(host);
  if (!self.on_loop_or_blame("rap.host.loop/1 unwatch()")) return RAP_E_STATE;
  return self.unwatch(fd) ? RAP_OK : RAP_E_GONE;
}

std::uint32_t on_loop(const rap_host* host) {
  return PluginHost::of(host).loop().on_loop() ? 1 : 0;
}

}  // namespace

const rap_host_loop_1 kLoopTable = {post, timer, timer_cancel, watch, unwatch, on_loop};

}  // namespace rap::worker
