#include <fmt/format.h>

#include "host/plugin-check/load_checks.hpp"

namespace rap::check {
namespace {

using namespace std::chrono_literals;

constexpr auto kOpenTime = 3s;
constexpr auto kFrameTime = 200ms;
constexpr int kRounds = 100;  // enough to see a leak of descriptors; the limit is time

rap_str borrow(const char* text) {
  return {text, std::char_traits<char>::length(text)};
}

// One session in one adapter, closed at the end.
class OpenSession {
 public:
  OpenSession(const Scene& scene, TestHost& host) : host_(host), adapter_(scene, host) {
    if (adapter_.created() != RAP_OK || adapter_.start() != RAP_OK) {
      why_ = "the adapter does not start: " + host.failure();
      return;
    }
    rap_adapter* a = adapter_.get();
    table_ = static_cast<const rap_adapter_session_1*>(a->get_extension(a, RAP_ADAPTER_SESSION));
    sink_ = host.new_sink();
    rap_session_want want{};
    want.size = sizeof want;
    want.session_id = borrow("ses_check");
    want.target = borrow("res_check");
    want.secret_ref = borrow("sec_check");
    want.options_json = {scene.session_options.data(), scene.session_options.size()};
    want.width = 80;
    want.height = 24;
    const rap_result opened = table_->open(a, sink_, &want, &session_);
    if (opened == RAP_PENDING) wait_for_opened();
    if (opened < 0) why_ = "open() answered " + result_name(opened) + ": " + host.failure();
    if (opened >= 0 && !session_) broken_ = "open() made no session";
  }
  ~OpenSession() { close(); }
  OpenSession(const OpenSession&) = delete;
  OpenSession& operator=(const OpenSession&) = delete;

  // Not empty: there is no session, which without a target is no fault.
  const std::string& why_not() const { return why_; }
  const std::string& broken_rule() const { return broken_; }
  rap_session* get() const { return session_; }
  rap_sink& sink() const { return *sink_; }
  const rap_adapter_session_1& table() const { return *table_; }

  rap_result attach(std::uint64_t id) {
    const std::uint32_t encodings[] = {0};
    rap_attach who{};
    who.size = sizeof who;
    who.mode = RAP_ATTACH_CONTROL;
    who.attach_id = id;
    who.width = 80;
    who.height = 24;
    who.encodings = encodings;
    sink_->key_is_due = true;
    return table_->attach(session_, &who);
  }
  void close() {
    if (session_) table_->close(session_, RAP_OK);
    session_ = nullptr;
    if (sink_) sink_->open = false;
  }

 private:
  void wait_for_opened() {
    host_.pump(kOpenTime, [&] { return sink_->opened || sink_->gone; });
    if (!sink_->opened && !sink_->gone) {
      broken_ = fmt::format("open() answered RAP_PENDING and opened() did not come within {} ms",
                            std::chrono::milliseconds(kOpenTime).count());
    } else if (sink_->result < 0) {
      why_ = "opened() said " + result_name(sink_->result);
    }
  }

  TestHost& host_;
  Running adapter_;
  const rap_adapter_session_1* table_ = nullptr;
  rap_sink* sink_ = nullptr;
  rap_session* session_ = nullptr;
  std::string why_, broken_;
};

// Runs `body` with a session, or says why there is none.
template <typename Body>
Outcome with_session(const Scene& scene, Body&& body) {
  TestHost host(scene.grants());
  OpenSession session(scene, host);
  if (!session.broken_rule().empty()) return broken(session.broken_rule());
  if (!session.why_not().empty()) {
    const Outcome none = skip("no session without a target (" + session.why_not() + ")");
    session.close();
    return judged(host, none);
  }
  const Outcome outcome = body(host, session);
  session.close();
  host.pump(20ms, [] { return false; });
  return judged(host, outcome);
}

Outcome opens_and_closes(const Scene& scene, const std::string&) {
  return with_session(scene, [](TestHost&, OpenSession&) { return pass(); });
}

Outcome key_frame(const Scene& scene, const std::string&) {
  return with_session(scene, [](TestHost& host, OpenSession& session) {
    for (std::uint64_t id = 1; id <= 2; ++id) {
      if (session.attach(id) < 0) return broken("attach() failed: " + host.failure());
      host.pump(kFrameTime, [&] { return !session.sink().key_is_due; });
      if (session.sink().began_without_key) {
        return broken(fmt::format("the first picture after attach {} is not a KEY frame", id));
      }
      session.table().detach(session.get(), id);
    }
    return pass(session.sink().key_is_due ? "no frame came" : "");
  });
}

Outcome input(const Scene& scene, const std::string&) {
  return with_session(scene, [](TestHost& host, OpenSession& session) {
    session.attach(1);
    rap_frame frame{};
    frame.channel = RAP_CH_INPUT;
    frame.flags = RAP_FRAME_END;
    frame.data = "check\r";
    frame.len = 6;
    const rap_result result = session.table().input(session.get(), 1, &frame, 1);
    if (result < 0 && result != RAP_E_BUSY)
      return broken("input() answered " + result_name(result));
    host.pump(kFrameTime, [] { return false; });
    // Unknown channels and flag bits are no reason to fall over (M6).
    frame.channel = 0x7777;
    frame.flags = 0xff00;
    session.table().input(session.get(), 1, &frame, 1);
    session.table().input(session.get(), 1, nullptr, 0);
    host.pump(20ms, [] { return false; });
    return pass();
  });
}

// Far more than a queue takes, with nobody who reads it.
Outcome back_pressure(const Scene& scene, const std::string&) {
  return with_session(scene, [](TestHost& host, OpenSession& session) {
    session.attach(1);
    const std::string much(1000, 'x');
    rap_frame frame{};
    frame.channel = RAP_CH_INPUT;
    frame.flags = RAP_FRAME_END;
    frame.data = much.data();
    frame.len = much.size();
    for (int i = 0; i < 1000; ++i) session.table().input(session.get(), 1, &frame, 1);
    host.pump(20ms, [] { return false; });
    if (session.table().writable) session.table().writable(session.get());
    host.pump(20ms, [] { return false; });
    return pass();
  });
}

Outcome attach_detach(const Scene& scene, const std::string&) {
  return with_session(scene, [](TestHost& host, OpenSession& session) {
    for (std::uint64_t id = 1; id <= kRounds; ++id) {
      if (session.attach(id) < 0) return broken(fmt::format("attach {}: {}", id, host.failure()));
      if (session.table().detach(session.get(), id) < 0) return broken("S1 detach() failed");
      if (id % 10 == 0) host.pump(1ms, [] { return false; });
      if (session.sink().gone) return broken("S1 the remote session ended with the audience");
    }
    return pass();
  });
}

Outcome takeover(const Scene& scene, const std::string&) {
  return with_session(scene, [](TestHost& host, OpenSession& session) {
    if (!session.table().takeover) return pass("takeover is NULL: detach and attach");
    session.attach(1);
    host.pump(kFrameTime, [&] { return !session.sink().key_is_due; });
    rap_attach fresh{};
    const std::uint32_t encodings[] = {0};
    fresh.size = sizeof fresh;
    fresh.mode = RAP_ATTACH_CONTROL;
    fresh.attach_id = 2;
    fresh.width = 100;
    fresh.height = 30;
    fresh.encodings = encodings;
    session.sink().key_is_due = true;
    if (session.table().takeover(session.get(), 1, &fresh) < 0) return broken("takeover() failed");
    host.pump(kFrameTime, [&] { return !session.sink().key_is_due; });
    if (session.sink().gone) return broken("S3 the remote session ended");
    if (session.sink().began_without_key) return broken("S2 the first picture is not a KEY frame");
    return pass();
  });
}

Outcome resize(const Scene& scene, const std::string&) {
  return with_session(scene, [](TestHost&, OpenSession& session) {
    for (const std::uint32_t side : {1u, 80u, 1000u}) {
      session.table().resize(session.get(), side, side, 96);
    }
    return pass();
  });
}

}  // namespace

std::vector<BoxedCheck> session_checks() {
  return {{3, "S1", "session-open-close", opens_and_closes},
          {3, "S2", "session-key-frame", key_frame},
          {3, "S1", "session-attach-detach", attach_detach},
          {3, "S3", "session-takeover", takeover},
          {3, "M6", "session-input", input},
          {3, "M3", "session-back-pressure", back_pressure},
          {3, "E1", "session-resize", resize}};
}

}  // namespace rap::check
