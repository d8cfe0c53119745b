// A hub on its own loop thread with a remote session that records what it is asked.
#pragma once

#include <sys/socket.h>

#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "host/worker/hub/hub.hpp"
#include "tests/support/test_client.hpp"

namespace rap::test {

using namespace rap::worker;

class FakeRemote final : public RemoteSession {
 public:
  Hub* hub = nullptr;
  std::string picture = "[picture]";
  rap_result attach_result = RAP_OK;
  int refuse_input = 0;  // so many times
  std::vector<std::string> calls;
  std::string typed;
  std::string attach_size;  // of the last attach

  static rap_frame frame(std::string_view text, std::uint16_t flags = 0,
                         std::uint16_t channel = RAP_CH_TERMINAL) {
    rap_frame out{};
    out.channel = channel;
    out.flags = flags;
    out.data = text.data();
    out.len = text.size();
    return out;
  }

  rap_result attach(const rap_attach& who) override {
    calls.push_back((who.mode == RAP_ATTACH_CONTROL ? "attach control " : "attach view ") +
                    std::to_string(who.attach_id));
    attach_size = std::to_string(who.width) + "x" + std::to_string(who.height);
    if (attach_result < 0) return attach_result;
    const rap_frame key = frame(picture, RAP_FRAME_KEY | RAP_FRAME_END);
    (void)hub->emit(&key, 1, nullptr);
    return RAP_OK;
  }
  rap_result detach(std::uint64_t number) override {
    calls.push_back("detach " + std::to_string(number));
    return RAP_OK;
  }
  rap_result takeover(std::uint64_t old_number, const rap_attach& who) override {
    calls.push_back("takeover " + std::to_string(old_number) + " " + std::to_string(who.attach_id));
    const rap_frame key = frame(picture, RAP_FRAME_KEY | RAP_FRAME_END);
    (void)hub->emit(&key, 1, nullptr);
    return RAP_OK;
  }
  rap_result resize(std::uint32_t cols, std::uint32_t rows) override {
    calls.push_back("resize " + std::to_string(cols) + "x" + std::to_string(rows));
    return RAP_OK;
  }
  rap_result input(std::uint64_t, const rap_frame* frames, std::uint32_t count) override {
    if (refuse_input > 0) {
      --refuse_input;
      return RAP_E_BUSY;
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      typed.append(static_cast<const char*>(frames[i].data), frames[i].len);
    }
    return RAP_OK;
  }
  void writable() override { calls.push_back("writable"); }
};

class HubRig final : private HubListener {
 public:
  HubRig() {
    std::promise<void> up;
    thread_ = std::thread([this, &up] {
      loop_.emplace();
      hub_.emplace(*loop_, remote, static_cast<HubListener&>(*this), "ses_test", 80, 24);
      remote.hub = &*hub_;
      up.set_value();
      loop_->run();
      hub_.reset();
      loop_.reset();
    });
    up.get_future().wait();
  }
  ~HubRig() {
    loop_->stop();
    thread_.join();
  }

  // Runs on the loop thread and waits for it.
  template <typename Body>
  auto on_loop(Body body) {
    std::promise<decltype(body(*hub_))> done;
    loop_->post([&] {
      if constexpr (std::is_void_v<decltype(body(*hub_))>) {
        body(*hub_);
        done.set_value();
      } else {
        done.set_value(body(*hub_));
      }
    });
    return done.get_future().get();
  }

  void open() {
    on_loop([](Hub& hub) { hub.opened(RAP_OK, ""); });
  }

  // The client's end; `buffer` limits what the kernel takes.
  TestClient attach(AttachMode mode, const std::string& name, int buffer = 0) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) abort();
    if (buffer > 0) setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    last_status = on_loop([&](Hub& hub) {
      AttachRequest request;
      request.attach_id = "att_" + name;
      request.mode = mode;
      request.user_id = "usr_" + name;
      request.user_name = name;
      request.from = "from of " + name;
      request.stream.reset(ends[1]);
      return hub.add(std::move(request)).has_value();
    });
    return TestClient(Fd(ends[0]));
  }
  TestClient join(AttachMode mode, const std::string& name, int buffer = 0, std::uint32_t cols = 80,
                  std::uint32_t rows = 24) {
    TestClient client = attach(mode, name, buffer);
    client.send_control(frames::Hello{1, cols, rows, "xterm"});
    (void)client.next<frames::Welcome>();
    return client;
  }

  rap_result emit(std::string_view text, std::uint16_t flags = 0) {
    return on_loop([&](Hub& hub) {
      const rap_frame frame = FakeRemote::frame(text, flags);
      return hub.emit(&frame, 1, nullptr);
    });
  }
  std::vector<std::string> calls() {
    return on_loop([this](Hub&) { return remote.calls; });
  }
  std::vector<std::string> told() {
    return on_loop([this](Hub&) { return told_; });
  }
  HubCounters counters() {
    return on_loop([](Hub& hub) { return hub.counters(); });
  }
  // Until the loop has seen something that it will see.
  template <typename Test>
  bool eventually(Test test, int timeout_ms = kPatienceMs) {
    for (int i = 0; i < timeout_ms / 5; ++i) {
      if (on_loop([&](Hub& hub) { return test(hub); })) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  Loop& loop() { return *loop_; }

  FakeRemote remote;
  bool last_status = false;

 private:
  void on_state(SessionState state, const std::string& detail,
                std::optional<std::int64_t>) override {
    told_.push_back(std::string(name(state)) + (detail.empty() ? "" : ": " + detail));
  }
  void on_person(const PersonEvent& event) override {
    told_.push_back(event.kind + " " + event.attach_id +
                    (event.previous_attach_id.empty() ? "" : " from " + event.previous_attach_id));
  }
  void on_drained() override { told_.push_back("drained"); }

  std::vector<std::string> told_;
  std::optional<Loop> loop_;
  std::optional<Hub> hub_;
  std::thread thread_;
};

}  // namespace rap::test
