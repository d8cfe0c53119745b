// rap.host.snapshot/1: what the agent sends comes here, and from here to whoever watches.
#include <cstring>

#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

constexpr std::size_t kNamesMax = 16;  // rap/ext/host.h
constexpr std::size_t kNameMax = 64;   // as an extension id

rap_result watch(const rap_host* raw, const char* name, rap_snapshot_fn run, void* user) {
  PluginHost& host = PluginHost::of(raw);
  if (!host.on_loop_or_blame("rap.host.snapshot/1 watch()")) return RAP_E_STATE;
  if (name == nullptr || run == nullptr) return RAP_E_INVALID;
  const std::size_t length = strnlen(name, kNameMax + 1);
  if (length == 0 || length > kNameMax) return RAP_E_INVALID;
  return host.watch_snapshot(name, run, user);
}

rap_result unwatch(const rap_host* raw, const char* name) {
  PluginHost& host = PluginHost::of(raw);
  if (!host.on_loop_or_blame("rap.host.snapshot/1 unwatch()")) return RAP_E_STATE;
  return name == nullptr ? RAP_E_INVALID : host.unwatch_snapshot(name);
}

}  // namespace

const rap_host_snapshot_1 kSnapshotTable = {watch, unwatch};

void PluginHost::set_snapshot(const std::string& name, std::shared_ptr<const std::string> json) {
  Snapshot& known = snapshots_[name];
  if (known.json != nullptr && *known.json == *json) return;
  known.json = std::move(json);
  tell_snapshot(name);
}

rap_result PluginHost::watch_snapshot(const std::string& name, rap_snapshot_fn run, void* user) {
  if (!snapshots_.contains(name) && snapshots_.size() >= kNamesMax) return RAP_E_RESOURCE;
  Snapshot& known = snapshots_[name];
  known.run = run;
  known.user = user;
  tell_snapshot(name);
  return RAP_OK;
}

rap_result PluginHost::unwatch_snapshot(const std::string& name) {
  const auto at = snapshots_.find(name);
  if (at == snapshots_.end() || at->second.run == nullptr) return RAP_E_GONE;
  at->second.run = nullptr;
  if (at->second.json == nullptr) snapshots_.erase(at);
  return RAP_OK;
}

// Later (T2), and once for changes that come together.
void PluginHost::tell_snapshot(const std::string& name) {
  Snapshot& known = snapshots_[name];
  if (known.run == nullptr || known.json == nullptr || std::exchange(known.due, true)) return;
  post([this, name] {
    const auto at = snapshots_.find(name);
    if (at == snapshots_.end()) return;
    at->second.due = false;
    if (at->second.run == nullptr || adapter_ == nullptr) return;
    // A copy: the function may watch something else, or nothing more.
    const Snapshot now = at->second;
    run_plugin_task("snapshot callback", [&] {
      now.run(now.user, {name.data(), name.size()}, {now.json->data(), now.json->size()});
    });
  });
}

}  // namespace rap::worker
