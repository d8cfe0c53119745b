#include "host/plugin-check/test_host.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace rap::check {
namespace {

constexpr std::uint32_t kQueueMax = 256;           // frames, as small as a real queue gets
constexpr std::size_t kFailTextMax = 512;          // as rap/plugin.h promises
constexpr std::uint64_t kFrameBytesMax = 1 << 20;  // as rap/ext/session.h promises

using Time = std::chrono::steady_clock;

rap_str text_of(const char* text) {
  return {text, std::strlen(text)};
}

}  // namespace

// The tables. Static functions, because that is what the ABI calls.
struct Tables {
  static TestHost& self(const rap_host* host) { return *static_cast<TestHost*>(host->host_data); }

  // ---- log, health, metrics: taken and dropped ----
  static void log_write(const rap_host*, std::uint32_t, rap_str, rap_str) {}
  static void report(const rap_host*, const rap_health*) {}
  static rap_result define(const rap_host* host, std::uint32_t, const char*, const char*,
                           const char*, std::uint32_t* id) {
    if (!self(host).on_loop("rap.host.metrics/1 define()")) return RAP_E_STATE;
    *id = static_cast<std::uint32_t>(self(host).next_id_++);
    return RAP_OK;
  }
  static void record(const rap_host*, std::uint32_t, double) {}

  // ---- configuration: an empty object ----
  static rap_str json(const rap_host*) { return text_of("{}"); }
  static rap_result get_int(const rap_host*, const char*, std::int64_t*) { return RAP_E_GONE; }
  static rap_result get_real(const rap_host*, const char*, double*) { return RAP_E_GONE; }
  static rap_result get_bool(const rap_host*, const char*, std::uint32_t*) { return RAP_E_GONE; }
  static rap_result get_text(const rap_host*, const char*, rap_str*) { return RAP_E_GONE; }

  // ---- loop ----
  static rap_result post(const rap_host* host, rap_task_fn run, void* user) {
    if (!run) return RAP_E_INVALID;
    const std::lock_guard lock(self(host).mutex_);
    self(host).tasks_.push_back({run, user});
    return RAP_OK;
  }
  static rap_result timer(const rap_host* host, std::uint64_t first_ms, std::uint64_t every_ms,
                          rap_task_fn run, void* user, std::uint64_t* id) {
    if (!self(host).on_loop("rap.host.loop/1 timer()")) return RAP_E_STATE;
    if (!run || !id) return RAP_E_INVALID;
    *id = self(host).next_id_++;
    const auto first = std::chrono::milliseconds(std::min<std::uint64_t>(first_ms, 1u << 30));
    self(host).timers_[*id] = {Time::now() + first, every_ms, run, user};
    return RAP_OK;
  }
  static rap_result timer_cancel(const rap_host* host, std::uint64_t id) {
    if (!self(host).on_loop("rap.host.loop/1 timer_cancel()")) return RAP_E_STATE;
    return self(host).timers_.erase(id) ? RAP_OK : RAP_E_GONE;
  }
  static rap_result watch(const rap_host* host, int fd, std::uint32_t events, rap_io_fn run,
                          void* user) {
    if (!self(host).on_loop("rap.host.loop/1 watch()")) return RAP_E_STATE;
    if (fd < 0 || !run) return RAP_E_INVALID;
    self(host).watches_[fd] = {events, run, user};
    return RAP_OK;
  }
  static rap_result unwatch(const rap_host* host, int fd) {
    if (!self(host).on_loop("rap.host.loop/1 unwatch()")) return RAP_E_STATE;
    return self(host).watches_.erase(fd) ? RAP_OK : RAP_E_GONE;
  }
  static std::uint32_t on_loop(const rap_host* host) {
    return std::this_thread::get_id() == self(host).loop_;
  }

  // ---- streams: nothing can be reached; secrets: one text ----
  static rap_result stream_open(const rap_host* host, const rap_stream_want* want,
                                rap_stream_fn run, void* user, std::uint64_t* ticket) {
    if (!want || !run || want->size < sizeof want->size) return RAP_E_INVALID;
    const std::lock_guard lock(self(host).mutex_);
    self(host).streams_.push_back({run, user});
    if (ticket) *ticket = self(host).next_id_++;
    return RAP_PENDING;
  }
  static rap_result stream_cancel(const rap_host*, std::uint64_t) { return RAP_OK; }
  static rap_result resolve(const rap_host* host, rap_str, rap_secret_fn run, void* user) {
    if (!run) return RAP_E_INVALID;
    const std::lock_guard lock(self(host).mutex_);
    self(host).secrets_.push_back({run, user});
    return RAP_PENDING;
  }
  // ---- snapshots: none ever comes ----
  static rap_result snapshot_watch(const rap_host* host, const char* name, rap_snapshot_fn run,
                                   void*) {
    if (!self(host).on_loop("rap.host.snapshot/1 watch()")) return RAP_E_STATE;
    return name && *name && run ? RAP_OK : RAP_E_INVALID;
  }
  static rap_result snapshot_unwatch(const rap_host* host, const char*) {
    return self(host).on_loop("rap.host.snapshot/1 unwatch()") ? RAP_OK : RAP_E_STATE;
  }
  // ---- the mesh: no identity ever comes, nobody takes a stream ----
  static rap_result identity_watch(const rap_host* host, std::uint32_t kind, rap_identity_fn run,
                                   void*) {
    if (!self(host).on_loop("rap.host.identity/1 watch()")) return RAP_E_STATE;
    const bool known = kind >= RAP_IDENTITY_MESH && kind <= RAP_IDENTITY_SERVICE;
    return known && run ? RAP_OK : RAP_E_INVALID;
  }
  static rap_result identity_unwatch(const rap_host* host, std::uint32_t) {
    return self(host).on_loop("rap.host.identity/1 unwatch()") ? RAP_OK : RAP_E_STATE;
  }
  static rap_result deliver(const rap_host* host, int, const rap_mesh_stream*, rap_mesh_taken_fn,
                            void*) {
    return self(host).on_loop("rap.host.mesh/1 deliver()") ? RAP_E_BUSY : RAP_E_STATE;
  }
  static rap_result mesh_report(const rap_host*, rap_str) { return RAP_OK; }
  static rap_result on_drop(const rap_host* host, rap_mesh_drop_fn, void*) {
    return self(host).on_loop("rap.host.mesh/1 on_drop()") ? RAP_OK : RAP_E_STATE;
  }
  static rap_result state_fd(const rap_host*, int*, std::uint64_t*) { return RAP_E_RESOURCE; }

  // ---- session ----
  static TestHost* owner;  // sinks carry no host; there is one host in a process

  static rap_result emit(rap_sink* sink, const rap_frame* frames, std::uint32_t count,
                         rap_emit* out) {
    const std::lock_guard lock(owner->mutex_);
    if (!sink->open) {
      owner->complaints_.push_back("M3 emit() on a session that was closed");
      return RAP_E_GONE;
    }
    rap_emit counts{};
    counts.size = sizeof counts;
    counts.first_seq = sink->frames + 1;
    rap_result result = RAP_OK;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (frames[i].len > kFrameBytesMax || (frames[i].len && !frames[i].data)) {
        owner->complaints_.push_back("emit() of a frame over 1 MiB or without data");
        return RAP_E_INVALID;
      }
      if (sink->queued >= kQueueMax) {
        if (frames[i].flags & RAP_FRAME_DROPPABLE) {
          counts.dropped++;
          continue;
        }
        result = RAP_E_BUSY;
        break;
      }
      take(*sink, frames[i]);
      counts.accepted++;
    }
    counts.queue_free = kQueueMax - sink->queued;
    if (out) {
      const std::uint32_t room = out->size;
      if (room >= sizeof room) rap_take(out, room, &counts, sizeof counts);
    }
    return result;
  }
  static void take(rap_sink& sink, const rap_frame& frame) {
    sink.frames++;
    sink.queued++;
    const bool picture = frame.channel == RAP_CH_DISPLAY || frame.channel == RAP_CH_TERMINAL;
    if (!sink.key_is_due || !picture) return;
    sink.key_is_due = false;
    if (!(frame.flags & RAP_FRAME_KEY)) sink.began_without_key = true;
  }
  static void opened(rap_sink* sink, rap_result result, rap_str) {
    const std::lock_guard lock(owner->mutex_);
    if (!sink->open) owner->complaints_.push_back("M3 opened() on a session that was closed");
    if (sink->opened) owner->complaints_.push_back("opened() twice");
    sink->opened = true;
    sink->result = result;
  }
  static void closed(rap_sink* sink, rap_result result, rap_str) {
    const std::lock_guard lock(owner->mutex_);
    if (!sink->open) owner->complaints_.push_back("M3 closed() on a session that was closed");
    sink->gone = true;
    sink->result = result;
  }

  // ---- the host itself ----
  static const void* get_extension(const rap_host* host, const char* id) {
    if (!id || !self(host).granted_.count(id)) return nullptr;
    const auto found = all().find(id);
    return found == all().end() ? nullptr : found->second;
  }
  static rap_result fail(const rap_host* host, rap_result code, const char* text) {
    if (!self(host).on_loop("fail()")) return code;
    self(host).failure_ = text ? std::string(text).substr(0, kFailTextMax) : "";
    if (code >= 0) self(host).complain("fail() with a code that is no failure");
    return code;
  }

  static const std::map<std::string, const void*>& all();
};

TestHost* Tables::owner = nullptr;

const std::map<std::string, const void*>& Tables::all() {
  static const rap_host_log_1 log{log_write};
  static const rap_host_config_1 config{json, get_int, get_real, get_bool, get_text};
  static const rap_host_loop_1 loop{post, timer, timer_cancel, watch, unwatch, on_loop};
  static const rap_host_stream_1 stream{stream_open, stream_cancel};
  static const rap_host_secret_1 secret{resolve};
  static const rap_host_metrics_1 metrics{define, record};
  static const rap_host_snapshot_1 snapshot{snapshot_watch, snapshot_unwatch};
  static const rap_host_state_dir_1 state_dir{state_fd};
  static const rap_host_health_1 health{report};
  static const rap_host_session_1 session{emit, opened, closed};
  static const rap_host_identity_1 identity{identity_watch, identity_unwatch};
  static const rap_host_mesh_1 mesh{deliver, mesh_report, on_drop};
  static const std::map<std::string, const void*> tables{
      {RAP_HOST_IDENTITY, &identity}, {RAP_HOST_MESH, &mesh},
      {RAP_HOST_LOG, &log},           {RAP_HOST_CONFIG, &config},
      {RAP_HOST_LOOP, &loop},         {RAP_HOST_STREAM, &stream},
      {RAP_HOST_SECRET, &secret},     {RAP_HOST_METRICS, &metrics},
      {RAP_HOST_SNAPSHOT, &snapshot}, {RAP_HOST_STATE_DIR, &state_dir},
      {RAP_HOST_HEALTH, &health},     {RAP_HOST_SESSION, &session}};
  return tables;
}

TestHost::TestHost(std::set<std::string> granted) : granted_(std::move(granted)) {
  abi_.abi_major = RAP_ABI_MAJOR;
  abi_.abi_minor = RAP_ABI_MINOR;
  abi_.host_data = this;
  abi_.name = "rap-plugin-check";
  abi_.version = "1";
  abi_.get_extension = Tables::get_extension;
  abi_.fail = Tables::fail;
  Tables::owner = this;
}

TestHost::~TestHost() {
  Tables::owner = nullptr;
}

const std::vector<std::string>& TestHost::known_ids() {
  static const std::vector<std::string> ids = [] {
    std::vector<std::string> out;
    for (const auto& [id, table] : Tables::all()) out.push_back(id);
    return out;
  }();
  return ids;
}

rap_sink* TestHost::new_sink() {
  return sinks_.emplace_back(std::make_unique<rap_sink>()).get();
}

std::vector<std::string> TestHost::complaints() {
  const std::lock_guard lock(mutex_);
  return complaints_;
}

void TestHost::complain(const std::string& text) {
  const std::lock_guard lock(mutex_);
  complaints_.push_back(text);
}

bool TestHost::on_loop(const char* what) {
  if (std::this_thread::get_id() == loop_) return true;
  complain(fmt::format("T5 {} called from thread {}; post() leads to the loop thread", what,
                       ::gettid()));
  return false;
}

void TestHost::pump(std::chrono::milliseconds most, const std::function<bool()>& done) {
  const auto end = Time::now() + most;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& sink : sinks_) sink->queued = 0;
  }
  while (Time::now() < end && !done()) {
    if (step()) continue;
    if (watches_.empty() && timers_.empty()) {
      // A thread of the adapter may still post something.
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    poll_watches(1);
  }
}

bool TestHost::step() {
  Task task{};
  StreamEnd stream{};
  SecretEnd secret{};
  {
    const std::lock_guard lock(mutex_);
    if (!tasks_.empty()) {
      task = tasks_.front();
      tasks_.pop_front();
    } else if (!streams_.empty()) {
      stream = streams_.front();
      streams_.pop_front();
    } else if (!secrets_.empty()) {
      secret = secrets_.front();
      secrets_.pop_front();
    }
  }
  if (task.run) return task.run(task.user), true;
  if (stream.run) return stream.run(stream.user, RAP_E_UNREACHABLE, -1), true;
  if (secret.run) return secret.run(secret.user, RAP_OK, {"secret", 6}), true;
  return run_due_timers() || poll_watches(0);
}

bool TestHost::run_due_timers() {
  for (auto it = timers_.begin(); it != timers_.end(); ++it) {
    if (it->second.at > Time::now()) continue;
    const Timer due = it->second;
    if (due.every_ms) {
      it->second.at += std::chrono::milliseconds(due.every_ms);
    } else {
      timers_.erase(it);
    }
    due.run(due.user);
    return true;
  }
  return false;
}

bool TestHost::poll_watches(int wait_ms) {
  std::vector<pollfd> polled;
  for (const auto& [fd, watch] : watches_) {
    short events = 0;
    if (watch.events & RAP_IO_READ) events |= POLLIN;
    if (watch.events & RAP_IO_WRITE) events |= POLLOUT;
    polled.push_back({fd, events, 0});
  }
  if (::poll(polled.data(), polled.size(), wait_ms) <= 0) return false;
  for (const pollfd& p : polled) {
    const auto watch = watches_.find(p.fd);  // may be gone: an earlier function can unwatch
    if (!p.revents || watch == watches_.end()) continue;
    std::uint32_t events = 0;
    if (p.revents & POLLIN) events |= RAP_IO_READ;
    if (p.revents & POLLOUT) events |= RAP_IO_WRITE;
    if (p.revents & (POLLERR | POLLHUP | POLLNVAL)) events |= RAP_IO_ERROR;
    const Watch copy = watch->second;
    copy.run(copy.user, p.fd, events);
  }
  return true;
}

}  // namespace rap::check
