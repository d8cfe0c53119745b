// An adapter that uses every service of the host. Its first input line says what to do:
//   flood N      emits N bytes, as fast as the host takes them
//   other text   goes out on the stream it opened; what comes back is emitted
// It opens after it resolved its secret, which it presents as the first line on the stream.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include <rap/rap.hpp>

#ifdef PROBE_FORK_SAFE
#define PROBE_ID "test.probe"
#else
#define PROBE_ID "test.probe-exec"
#endif

namespace {

struct Probe : rap::Session {
  Probe(rap::Sink the_sink, rap::Host the_host, const rap_session_want& want)
      : Session(the_sink),
        host(the_host),
        loop(host.need<rap_host_loop_1>()),
        target(rap::view(want.target)) {
    const auto& secrets = host.need<rap_host_secret_1>();
    rap::check(
        secrets.resolve(host.raw, want.secret_ref, rap::secret<Probe, &Probe::on_secret>, this),
        "secret");
  }
  ~Probe() override { stop(); }

  bool opening() const override { return true; }

  void on_secret(rap_result result, rap_bytes value) {
    if (result != RAP_OK) return sink.opened(result, "secret");
    first_line.assign(static_cast<const char*>(value.ptr), value.len);
    first_line += "\n";
    rap_stream_want want{};
    want.size = sizeof want;
    want.kind = RAP_STREAM_BYTES;
    want.target = rap::borrow(target);
    std::uint64_t ticket = 0;
    rap::check(host.need<rap_host_stream_1>().open(
                   host.raw, &want, rap::stream<Probe, &Probe::on_stream>, this, &ticket),
               "stream");
  }
  void on_stream(rap_result result, int connected) {
    if (result != RAP_OK) return sink.opened(result, "stream");
    fd = connected;
    (void)!send(fd, first_line.data(), first_line.size(), MSG_NOSIGNAL);
    rap::check(loop.watch(host.raw, fd, RAP_IO_READ, rap::io<Probe, &Probe::on_bytes>, this),
               "watch");
    sink.opened(RAP_OK);
  }
  void on_bytes(int, std::uint32_t) {
    char buffer[4096];
    const ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n == 0) {
      stop();
      return sink.closed(RAP_E_GONE, "the target closed");
    }
    if (n > 0) say({buffer, static_cast<std::size_t>(n)}, RAP_FRAME_END);
  }
  void stop() {
    if (fd < 0) return;
    loop.unwatch(host.raw, fd);
    close_fd();
  }
  void close_fd() {
    ::close(fd);
    fd = -1;
  }

  void attach(const rap_attach&) override { say("probe\r\n", RAP_FRAME_KEY | RAP_FRAME_END); }
  void input(std::uint64_t, std::span<const rap_frame> frames) override {
    for (const rap_frame& frame : frames) {
      const std::string_view text(static_cast<const char*>(frame.data), frame.len);
      if (text.starts_with("flood ")) {
        std::from_chars(text.data() + 6, text.data() + text.size(), left);
        flood();
      } else if (fd >= 0) {
        (void)!send(fd, text.data(), text.size(), MSG_NOSIGNAL);
      }
    }
  }
  void writable() override { flood(); }

  // A few megabytes at a time: other work of the loop has its turn (T3).
  void flood() {
    static const std::array<char, 32 << 10> noise{};
    for (int i = 0; i < 128 && left > 0; ++i) {
      rap_frame frame{};
      frame.channel = RAP_CH_TERMINAL;
      frame.data = noise.data();
      frame.len = std::min<std::uint64_t>(noise.size(), left);
      if (emit({&frame, 1}).result == RAP_E_BUSY) return;
      left -= frame.len;
    }
    if (left > 0) loop.post(host.raw, rap::task<Probe, &Probe::flood>, this);
  }
  void say(std::string_view text, std::uint16_t flags) {
    rap_frame frame{};
    frame.channel = RAP_CH_TERMINAL;
    frame.flags = flags;
    frame.data = text.data();
    frame.len = text.size();
    emit({&frame, 1});
  }

  const rap::Host host;
  const rap_host_loop_1& loop;
  const std::string target;
  std::string first_line;
  int fd = -1;
  std::uint64_t left = 0;
};

struct ProbeAdapter : rap::Adapter {
  static constexpr rap::Info info{
      .id = PROBE_ID,
      .version = "1.0.0",
      .roles = {"probe-worker"},
      .needs = {RAP_HOST_SESSION, RAP_HOST_LOOP, RAP_HOST_STREAM, RAP_HOST_SECRET, RAP_HOST_CONFIG},
      .wants = {RAP_HOST_METRICS, RAP_HOST_STATE_DIR},
#ifdef PROBE_FORK_SAFE
      .fork_safe = true
#else
      .fork_safe = false
#endif
  };
  using Adapter::Adapter;
  void start() override {
    // The answers a plugin may count on.
    const auto& config = host.need<rap_host_config_1>();
    std::int64_t number = 0;
    if (config.get_int(host.raw, "/a/0", &number) != RAP_OK || number != 7) {
      throw rap::Failure(RAP_E_CONFIG, "/a/0");
    }
    if (config.get_int(host.raw, "/text", &number) != RAP_E_INVALID ||
        config.get_int(host.raw, "/none", &number) != RAP_E_GONE) {
      throw rap::Failure(RAP_E_CONFIG, "negative answers");
    }
    std::uint32_t id = 0;
    if (const auto* metrics = host.find<rap_host_metrics_1>()) {
      rap::check(metrics->define(host.raw, RAP_METRIC_COUNTER, "starts", "", "Starts.", &id),
                 "metric");
      metrics->record(host.raw, id, 2);
      metrics->record(host.raw, 99, 2);
    }
    if (const auto* state = host.find<rap_host_state_dir_1>()) {
      int fd = -1;
      std::uint64_t quota = 0;
      if (state->fd(host.raw, &fd, &quota) != RAP_E_UNSUPPORTED) {
        throw rap::Failure(RAP_E_INTERNAL, "state-dir");
      }
    }
    if (host.find<rap_host_health_1>() != nullptr) {
      throw rap::Failure(RAP_E_INTERNAL, "health was not asked for");
    }
  }
  std::unique_ptr<rap::Session> open(rap::Sink sink, const rap_session_want& want) override {
    return std::make_unique<Probe>(sink, host, want);
  }
};

}  // namespace

RAP_PLUGIN(ProbeAdapter)
