// The smallest useful adapter: a session that says "ready" to whoever attaches and answers every
// byte of input with the same byte, until Ctrl-D ends it.
#include <algorithm>

#include <rap/rap.hpp>

struct EchoSession : rap::Session {
  using Session::Session;
  void attach(const rap_attach&) override {
    const rap_frame hello{RAP_CH_TERMINAL, RAP_FRAME_KEY | RAP_FRAME_END, 0, 0, "ready\r\n", 7, {}};
    emit({&hello, 1});
  }
  void input(std::uint64_t, std::span<const rap_frame> frames) override {
    for (rap_frame frame : frames) {
      const std::string_view bytes(static_cast<const char*>(frame.data), frame.len);
      const std::size_t end = bytes.find('\4');  // Ctrl-D: the person, or the pipe, has no more
      frame.channel = RAP_CH_TERMINAL;
      frame.flags = RAP_FRAME_END;
      frame.len = std::min(end, bytes.size());
      if (frame.len > 0) emit({&frame, 1});
      if (end != bytes.npos) return sink.closed(RAP_OK, "end of input");
    }
  }
};

struct Echo : rap::Adapter {
  static constexpr rap::Info info{.id = "rap.echo",
                                  .name = "Echo",
                                  .vendor = "RAP",
                                  .version = "0.1.0",
                                  .roles = {"echo-worker"},
                                  .needs = {RAP_HOST_SESSION},
                                  .wants = {RAP_HOST_LOG},
                                  .fork_safe = true};
  using Adapter::Adapter;
  void start() override { host.log(RAP_LOG_INFO, "echo started"); }
  std::unique_ptr<rap::Session> open(rap::Sink sink, const rap_session_want&) override {
    return std::make_unique<EchoSession>(sink);
  }
};

RAP_PLUGIN(Echo)
