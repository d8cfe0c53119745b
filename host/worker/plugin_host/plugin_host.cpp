#include "host/worker/plugin_host/plugin_host.hpp"

#include <algorithm>
#include <cstring>

#include <boost/json.hpp>

#include "base/log.hpp"
#include "base/text.hpp"

namespace rap::worker {
namespace {

// One adapter opening more at once is not honest.
constexpr std::size_t kStreamsMax = 16;
constexpr std::size_t kMetricsMax = 64;    // rap/ext/host.h
constexpr std::size_t kFailTextMax = 512;  // rap/plugin.h

struct Known {
  std::string_view id;
  const void* table;
};

const Known kKnown[] = {
    {RAP_HOST_LOG, &kLogTable},           {RAP_HOST_CONFIG, &kConfigTable},
    {RAP_HOST_LOOP, &kLoopTable},         {RAP_HOST_STREAM, &kStreamTable},
    {RAP_HOST_SECRET, &kSecretTable},     {RAP_HOST_SESSION, &kSessionTable},
    {RAP_HOST_METRICS, &kMetricsTable},   {RAP_HOST_STATE_DIR, &kStateDirTable},
    {RAP_HOST_HEALTH, &kHealthTable},     {RAP_HOST_SNAPSHOT, &kSnapshotTable},
    {RAP_HOST_IDENTITY, &kIdentityTable}, {RAP_HOST_MESH, &kMeshTable},
};

}  // namespace

PluginHost::PluginHost(Loop& loop, AgentLink& agent, Watchdog& watchdog, PluginHostOptions options)
    : loop_(loop), agent_(agent), watchdog_(watchdog), options_(std::move(options)) {
  auto config = parse_json(options_.config);
  config_ = std::make_unique<const boost::json::value>(
      config ? *std::move(config) : boost::json::value(boost::json::object{}));
  host_.abi_major = RAP_ABI_MAJOR;
  host_.abi_minor = RAP_ABI_MINOR;
  host_.host_data = this;
  host_.name = "rap-worker";
  host_.version = RAP_VERSION;
  host_.get_extension = &PluginHost::get_extension;
  host_.fail = &PluginHost::fail_call;
}

PluginHost::~PluginHost() = default;

bool PluginHost::granted(std::string_view id) const {
  return std::find(options_.grants.begin(), options_.grants.end(), id) != options_.grants.end();
}

const void* PluginHost::get_extension(const rap_host* host, const char* id) {
  if (id == nullptr || !of(host).granted(id)) return nullptr;
  for (const Known& known : kKnown) {
    if (known.id == id) return known.table;
  }
  return nullptr;
}

rap_result PluginHost::fail_call(const rap_host* host, rap_result code, const char* text) {
  PluginHost& self = of(host);
  if (!self.on_loop_or_blame("rap_host fail()")) return code;
  // It goes into messages: a text that is none must not cost the connection to the agent.
  if (text != nullptr) self.failure_ = as_utf8({text, strnlen(text, kFailTextMax)});
  return code;
}

bool PluginHost::on_loop_or_blame(const char* function) {
  if (loop_.on_loop()) return true;
  log::error("T5 a function of the loop thread was called on another thread; use post()",
             {{"call", function}});
  return false;
}

void PluginHost::run_plugin_task(const char* what, const std::function<void()>& task) {
  failure_.clear();
  const Watchdog::Scope scope(watchdog_, what);
  task();
}

Error PluginHost::error_of(const char* what, rap_result result) const {
  std::string detail = std::string(what) + ": " + result_name(result);
  if (!failure_.empty()) detail += ": " + failure_;
  return {to_errc(result), std::move(detail)};
}

Status PluginHost::start(const rap_plugin& plugin, const std::string& adapter_id) {
  rap_adapter* made = nullptr;
  rap_result result =
      call("create", [&] { return plugin.create(&host_, adapter_id.c_str(), &made); });
  if (result != RAP_OK) return fail(error_of("create", result));
  if (made == nullptr || made->desc == nullptr || adapter_id != made->desc->id) {
    return fail(Errc::invalid, "create: the plugin made another adapter than was asked for");
  }
  adapter_ = made;
  result = call("start", [&] { return adapter_->start(adapter_); });
  if (result == RAP_OK) return {};
  Error error = error_of("start", result);
  stop();
  return fail(std::move(error));
}

void PluginHost::stop() {
  if (adapter_ == nullptr) return;
  (void)call("stop", [&] { return adapter_->stop(adapter_); });
  for (const std::uint64_t id : std::exchange(timers_, {})) loop_.cancel(id);
  for (const int fd : std::exchange(watched_, {})) loop_.unwatch(fd);
  alive_.reset();
  (void)call("destroy", [&] {
    adapter_->destroy(adapter_);
    return RAP_OK;
  });
  adapter_ = nullptr;
}

void PluginHost::post(std::function<void()> task) {
  loop_.post([alive = std::weak_ptr(alive_), task = std::move(task)] {
    if (!alive.expired()) task();
  });
}

void PluginHost::ask(boost::json::object body, std::vector<Fd> fds,
                     std::chrono::milliseconds timeout,
                     std::function<void(Result<ipc::Message>)> done) {
  agent_.call(std::move(body), std::move(fds), timeout,
              [alive = std::weak_ptr(alive_), done = std::move(done)](Result<ipc::Message> answer) {
                if (!alive.expired()) done(std::move(answer));
              });
}

std::uint64_t PluginHost::timer(std::chrono::milliseconds first, std::chrono::milliseconds every,
                                Loop::Task task) {
  const auto id = std::make_shared<std::uint64_t>();
  const bool once = every.count() == 0;
  *id = loop_.timer(first, every, [this, id, once, task = std::move(task)] {
    if (once) timers_.erase(*id);
    task();
  });
  timers_.insert(*id);
  return *id;
}

bool PluginHost::cancel_timer(std::uint64_t id) {
  return timers_.erase(id) > 0 && loop_.cancel(id);
}

Status PluginHost::watch(int fd, std::uint32_t events, Loop::Ready ready) {
  auto watched = loop_.watch(fd, events, std::move(ready));
  if (watched) watched_.insert(fd);
  return watched;
}

bool PluginHost::unwatch(int fd) {
  return watched_.erase(fd) > 0 && loop_.unwatch(fd);
}

rap_health PluginHost::health() {
  rap_health out{};
  out.size = sizeof out;
  if (adapter_ != nullptr) {
    const rap_result result = call("health", [&] { return adapter_->health(adapter_, &out); });
    if (result != RAP_OK) out.level = RAP_HEALTH_FAILED;
  }
  out.note[sizeof out.note - 1] = '\0';
  const std::lock_guard lock(mutex_);
  if (reported_health_ && reported_health_->level > out.level) return *reported_health_;
  return out;
}

std::vector<Metric> PluginHost::metrics() const {
  const std::lock_guard lock(mutex_);
  return metrics_;
}

std::uint64_t PluginHost::add_stream(PendingStream pending) {
  const std::lock_guard lock(mutex_);
  if (streams_.size() >= kStreamsMax) return 0;
  streams_.emplace(next_stream_, pending);
  return next_stream_++;
}

std::optional<PluginHost::PendingStream> PluginHost::take_stream(std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  auto at = streams_.find(ticket);
  if (at == streams_.end()) return std::nullopt;
  const PendingStream pending = at->second;
  streams_.erase(at);
  return pending;
}

std::uint32_t PluginHost::define_metric(Metric metric) {
  const std::lock_guard lock(mutex_);
  if (metrics_.size() >= kMetricsMax) return 0;
  metrics_.push_back(std::move(metric));
  return static_cast<std::uint32_t>(metrics_.size());
}

void PluginHost::record_metric(std::uint32_t id, double value) {
  const std::lock_guard lock(mutex_);
  if (id == 0 || id > metrics_.size()) return;
  Metric& metric = metrics_[id - 1];
  ++metric.count;
  metric.value = metric.kind == RAP_METRIC_GAUGE ? value : metric.value + value;
}

void PluginHost::report_health(const rap_health& health) {
  {
    const std::lock_guard lock(mutex_);
    reported_health_ = health;
  }
  if (options_.health_reported) options_.health_reported();
}

const char* result_name(rap_result result) {
  switch (result) {
    case RAP_OK:
      return "ok";
    case RAP_PENDING:
      return "pending";
    case RAP_PARTIAL:
      return "partial";
    case RAP_E_INVALID:
      return "invalid";
    case RAP_E_STATE:
      return "not in this state";
    case RAP_E_UNSUPPORTED:
      return "unsupported";
    case RAP_E_CONFIG:
      return "configuration";
    case RAP_E_DENIED:
      return "denied";
    case RAP_E_AUTH:
      return "the target refused the credentials";
    case RAP_E_UNREACHABLE:
      return "unreachable";
    case RAP_E_TIMEOUT:
      return "timeout";
    case RAP_E_BUSY:
      return "busy";
    case RAP_E_GONE:
      return "gone";
    case RAP_E_PROTOCOL:
      return "the target broke its protocol";
    case RAP_E_RESOURCE:
      return "out of resources";
    case RAP_E_CANCELED:
      return "cancelled";
    case RAP_E_INTERNAL:
      return "internal";
    default:
      return "unknown result";
  }
}

rap_result to_result(Errc code) {
  switch (code) {
    case Errc::invalid:
    case Errc::malformed:
      return RAP_E_INVALID;
    case Errc::too_large:
    case Errc::exhausted:
      return RAP_E_RESOURCE;
    case Errc::not_found:
      return RAP_E_GONE;
    case Errc::conflict:
      return RAP_E_STATE;
    case Errc::unauthorized:
      return RAP_E_AUTH;
    case Errc::forbidden:
      return RAP_E_DENIED;
    case Errc::unsupported:
      return RAP_E_UNSUPPORTED;
    case Errc::unavailable:
      return RAP_E_UNREACHABLE;
    case Errc::timeout:
      return RAP_E_TIMEOUT;
    case Errc::cancelled:
      return RAP_E_CANCELED;
    default:
      return RAP_E_INTERNAL;
  }
}

Errc to_errc(rap_result result) {
  switch (result) {
    case RAP_E_INVALID:
    case RAP_E_CONFIG:
      return Errc::invalid;
    case RAP_E_STATE:
      return Errc::conflict;
    case RAP_E_UNSUPPORTED:
      return Errc::unsupported;
    case RAP_E_DENIED:
      return Errc::forbidden;
    case RAP_E_AUTH:
      return Errc::unauthorized;
    case RAP_E_UNREACHABLE:
    case RAP_E_GONE:
      return Errc::unavailable;
    case RAP_E_TIMEOUT:
      return Errc::timeout;
    case RAP_E_BUSY:
    case RAP_E_RESOURCE:
      return Errc::exhausted;
    case RAP_E_PROTOCOL:
      return Errc::malformed;
    case RAP_E_CANCELED:
      return Errc::cancelled;
    default:
      return Errc::internal;
  }
}

}  // namespace rap::worker
