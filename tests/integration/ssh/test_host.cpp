#include "test_host.hpp"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

namespace rap::ssh {

// The sink handle is the TestHost too.
struct HostTables {
  static TestHost& of(const rap_host* host) { return *static_cast<TestHost*>(host->host_data); }
  static TestHost& of(rap_sink* sink) { return *reinterpret_cast<TestHost*>(sink); }

  static rap_result fail(const rap_host* host, rap_result code, const char* text) {
    of(host).last_failure = text;
    return code;
  }
  static void write(const rap_host*, std::uint32_t, rap_str, rap_str) {}

  static rap_result post(const rap_host* host, rap_task_fn task, void* user) {
    of(host).posted_.push_back([=] { task(user); });
    return RAP_OK;
  }
  static rap_result timer(const rap_host* host, std::uint64_t first_ms, std::uint64_t every_ms,
                          rap_task_fn task, void* user, std::uint64_t* id) {
    TestHost& self = of(host);
    *id = self.next_id_++;
    self.timers_[*id] = {std::chrono::steady_clock::now() + std::chrono::milliseconds(first_ms),
                         every_ms, task, user};
    return RAP_OK;
  }
  static rap_result timer_cancel(const rap_host* host, std::uint64_t id) {
    return of(host).timers_.erase(id) ? RAP_OK : RAP_E_GONE;
  }
  static rap_result watch(const rap_host* host, int fd, std::uint32_t events, rap_io_fn call,
                          void* user) {
    of(host).watches_[fd] = {events, call, user};
    return RAP_OK;
  }
  static rap_result unwatch(const rap_host* host, int fd) {
    return of(host).watches_.erase(fd) ? RAP_OK : RAP_E_GONE;
  }
  static std::uint32_t on_loop(const rap_host*) { return 1; }

  static rap_result stream_open(const rap_host* host, const rap_stream_want*, rap_stream_fn call,
                                void* user, std::uint64_t* ticket) {
    TestHost& self = of(host);
    *ticket = self.next_id_++;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(self.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ::close(fd);
      self.posted_.push_back([=] { call(user, RAP_E_UNREACHABLE, -1); });
      return RAP_OK;
    }
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    self.stream_fd = ::dup(fd);
    self.posted_.push_back([=] { call(user, RAP_OK, fd); });
    return RAP_OK;
  }
  static rap_result stream_cancel(const rap_host*, std::uint64_t) { return RAP_OK; }

  static rap_result resolve(const rap_host* host, rap_str, rap_secret_fn call, void* user) {
    TestHost& self = of(host);
    self.posted_.push_back([&self, call, user] {
      std::string value = self.secret;
      call(user, self.secret_result, {value.data(), value.size()});
    });
    return RAP_OK;
  }

  static rap_result emit(rap_sink* sink, const rap_frame* frames, std::uint32_t count,
                         rap_emit* out) {
    TestHost& self = of(sink);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (!self.attached && frames[i].channel != RAP_CH_CONTROL) continue;
      if (frames[i].channel == RAP_CH_TERMINAL && self.terminal_bytes >= self.busy_after) {
        return RAP_E_BUSY;
      }
      const std::string data(static_cast<const char*>(frames[i].data),
                             self.keep_frames ? frames[i].len : 0);
      if (frames[i].channel == RAP_CH_CONTROL) self.control = data;
      if (frames[i].channel == RAP_CH_TERMINAL) {
        self.terminal_bytes += frames[i].len;
        self.output += data;
      }
      if (self.keep_frames) self.frames.push_back({frames[i].channel, frames[i].flags, data});
      if (out) ++out->accepted;
    }
    return RAP_OK;
  }
  static void opened(rap_sink* sink, rap_result result, rap_str detail) {
    of(sink).opened = {result, std::string(view(detail))};
  }
  static void closed(rap_sink* sink, rap_result result, rap_str detail) {
    of(sink).closed = {result, std::string(view(detail))};
  }

  static const void* extension(const rap_host*, const char* id) {
    static constexpr rap_host_log_1 kLog{write};
    static constexpr rap_host_loop_1 kLoop{post, timer, timer_cancel, watch, unwatch, on_loop};
    static constexpr rap_host_stream_1 kStream{stream_open, stream_cancel};
    static constexpr rap_host_secret_1 kSecret{resolve};
    static constexpr rap_host_session_1 kSession{emit, opened, closed};
    const std::string name = id;
    if (name == RAP_HOST_LOG) return &kLog;
    if (name == RAP_HOST_LOOP) return &kLoop;
    if (name == RAP_HOST_STREAM) return &kStream;
    if (name == RAP_HOST_SECRET) return &kSecret;
    if (name == RAP_HOST_SESSION) return &kSession;
    return nullptr;
  }
};

TestHost::TestHost(const char* plugin_path) {
  void* library = ::dlopen(plugin_path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) throw std::runtime_error(::dlerror());
  plugin_ = static_cast<const rap_plugin*>(::dlsym(library, RAP_PLUGIN_SYMBOL));
  host_ = {RAP_ABI_MAJOR,         RAP_ABI_MINOR,   this, "test", "1",
           HostTables::extension, HostTables::fail};
  if (plugin_->warm_up() != RAP_OK) throw std::runtime_error("warm_up");
  if (plugin_->create(&host_, "rap.ssh", &adapter_) != RAP_OK) throw std::runtime_error("create");
  sessions_ = static_cast<const rap_adapter_session_1*>(
      adapter_->get_extension(adapter_, RAP_ADAPTER_SESSION));
  adapter_->start(adapter_);
}

TestHost::~TestHost() {
  close();
  run([this] { return posted_.empty(); });
  adapter_->stop(adapter_);
  adapter_->destroy(adapter_);
  if (stream_fd >= 0) ::close(stream_fd);
}

rap_result TestHost::open(const std::string& options_json, std::uint32_t cols, std::uint32_t rows) {
  rap_session_want want{};
  want.size = sizeof want;
  want.session_id = borrow("ses_1");
  want.target = borrow("res_1");
  want.secret_ref = borrow(secret_ref);
  want.options_json = borrow(options_json);
  want.width = cols;
  want.height = rows;
  return sessions_->open(adapter_, reinterpret_cast<rap_sink*>(this), &want, &session_);
}

void TestHost::attach(std::uint64_t id, std::uint32_t mode, std::uint32_t cols,
                      std::uint32_t rows) {
  rap_attach who{};
  who.size = sizeof who;
  who.mode = mode;
  who.attach_id = id;
  who.width = cols;
  who.height = rows;
  attached = true;
  sessions_->attach(session_, &who);
}

rap_result TestHost::input(const std::string& bytes) {
  rap_frame frame{};
  frame.channel = RAP_CH_INPUT;
  frame.data = bytes.data();
  frame.len = bytes.size();
  return sessions_->input(session_, 1, &frame, 1);
}

void TestHost::resize(std::uint32_t cols, std::uint32_t rows) {
  sessions_->resize(session_, cols, rows, 0);
}
void TestHost::writable() {
  sessions_->writable(session_);
}

void TestHost::close() {
  if (session_) sessions_->close(session_, RAP_OK);
  session_ = nullptr;
}

void TestHost::turn(int wait_ms) {
  std::deque<std::function<void()>> tasks;
  tasks.swap(posted_);
  for (const auto& task : tasks) task();

  const auto now = std::chrono::steady_clock::now();
  for (const auto& [id, timer] : std::map(timers_)) {
    const auto found = timers_.find(id);
    if (found == timers_.end()) continue;  // another one cancelled it
    if (timer.due > now) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(timer.due - now);
      wait_ms = std::min<int>(wait_ms, static_cast<int>(left.count()) + 1);
      continue;
    }
    if (timer.every_ms > 0) {
      found->second.due = now + std::chrono::milliseconds(timer.every_ms);
    } else {
      timers_.erase(found);
      wait_ms = 0;
    }
    timer.task(timer.user);
  }

  std::vector<pollfd> fds;
  for (const auto& [fd, watch] : watches_) {
    const int events =
        (watch.events & RAP_IO_READ ? POLLIN : 0) | (watch.events & RAP_IO_WRITE ? POLLOUT : 0);
    fds.push_back({fd, static_cast<short>(events), 0});
  }
  ::poll(fds.data(), fds.size(), posted_.empty() ? wait_ms : 0);
  for (const pollfd& entry : fds) {
    const auto found = watches_.find(entry.fd);
    if (entry.revents == 0 || found == watches_.end()) continue;
    const WatchEntry watch = found->second;
    ++io_calls;
    watch.call(watch.user, entry.fd,
               (entry.revents & POLLIN ? unsigned{RAP_IO_READ} : 0u) |
                   (entry.revents & POLLOUT ? unsigned{RAP_IO_WRITE} : 0u) |
                   (entry.revents & (POLLERR | POLLHUP) ? unsigned{RAP_IO_ERROR} : 0u));
  }
}

bool TestHost::run(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    turn(20);
  }
  return true;
}

bool TestHost::type(const std::string& line, const std::string& expected) {
  output.clear();
  if (input(line + "\r") != RAP_OK) return false;
  return run([&] { return output.find(expected) != std::string::npos; });
}

}  // namespace rap::ssh
