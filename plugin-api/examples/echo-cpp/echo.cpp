// The smallest useful adapter: a session that says "ready" to whoever attaches and answers every
// byte of input with the same byte.
#include <rap/rap.hpp>

struct EchoSession : rap::Session {
  using Session::Session;
  void attach(const rap_attach&) override {
    const rap_frame hello{RAP_CH_TERMINAL, RAP_FRAME_KEY | RAP_FRAME_END, 0, 0, "ready\r\n", 7, {}};
    emit({&hello, 1});
  }
  void input(std::uint64_t, std::span<const rap_frame> frames) override {
    for (rap_frame frame : frames) {
      frame.channel = RAP_CH_TERMINAL;
      frame.flags = RAP_FRAME_END;
      emit({&frame, 1});
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
