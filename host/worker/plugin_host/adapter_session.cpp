#include "host/worker/plugin_host/adapter_session.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

// The host's handle of a session. Global name, because the ABI names it.
struct rap_sink {
  rap::worker::Loop* loop = nullptr;
  std::atomic<rap::worker::Hub*> hub{nullptr};  // null once the session is closed (M3)
  rap::worker::AdapterSession::Events events;
  std::weak_ptr<rap_sink> self;
};

namespace rap::worker {
namespace {

using namespace std::chrono_literals;

// For people, in a state event.
constexpr std::size_t kDetailMax = 512;

rap_result emit(rap_sink* sink, const rap_frame* frames, std::uint32_t count, rap_emit* out) {
  Hub* hub = sink->hub;
  if (hub == nullptr) return RAP_E_GONE;
  if (frames == nullptr && count > 0) return RAP_E_INVALID;
  return hub->emit(frames, count, out);
}

void tell(rap_sink* sink, rap_result result, rap_str detail, bool opened) {
  // It may hold what a target said, and goes into messages: what is no text, or was cut inside a
  // character, must not cost the connection to the agent.
  std::string text = as_utf8(view(detail).substr(0, kDetailMax));
  sink->loop->post([weak = sink->self, result, opened, text = std::move(text)] {
    const auto alive = weak.lock();
    if (!alive || alive->hub == nullptr) return;
    const auto events = alive->events;
    if (opened) return events.opened(result, text);
    events.closed(result, text);
  });
}

void opened(rap_sink* sink, rap_result result, rap_str detail) {
  tell(sink, result, detail, true);
}

void closed(rap_sink* sink, rap_result result, rap_str detail) {
  tell(sink, result, detail, false);
}

rap_str borrow(const std::string& text) {
  return {text.data(), text.size()};
}

}  // namespace

const rap_host_session_1 kSessionTable = {emit, opened, closed};

AdapterSession::AdapterSession(Loop& loop, PluginHost& host, Events events)
    : loop_(loop), host_(host), sink_(std::make_shared<rap_sink>()) {
  sink_->loop = &loop;
  sink_->events = std::move(events);
  sink_->self = sink_;
}

AdapterSession::~AdapterSession() {
  close(RAP_E_CANCELED);
}

void AdapterSession::set_hub(Hub* hub) {
  sink_->hub = hub;
}

Status AdapterSession::open(const SessionWant& want) {
  rap_adapter* adapter = host_.adapter();
  (void)host_.call("get_extension", [&] {
    table_ = static_cast<const rap_adapter_session_1*>(
        adapter->get_extension(adapter, RAP_ADAPTER_SESSION));
    return RAP_OK;
  });
  if (table_ == nullptr) return fail(Errc::unsupported, "the adapter has no sessions");
  rap_session_want abi{};
  abi.size = sizeof abi;
  abi.session_id = borrow(want.session_id);
  abi.target = borrow(want.target);
  abi.secret_ref = borrow(want.secret_ref);
  abi.options_json = borrow(want.options);
  abi.width = want.cols;
  abi.height = want.rows;
  rap_session* made = nullptr;
  const rap_result result =
      host_.call("open", [&] { return table_->open(adapter, sink_.get(), &abi, &made); });
  if (result != RAP_OK && result != RAP_PENDING) return fail(host_.error_of("open", result));
  if (made == nullptr) return fail(Errc::invalid, "open: no session came back");
  session_ = made;
  if (result == RAP_OK) tell(sink_.get(), RAP_OK, rap_str{}, true);
  return {};
}

void AdapterSession::close(rap_result why) {
  if (session_ != nullptr) {
    rap_session* session = std::exchange(session_, nullptr);
    (void)host_.call("close", [&] {
      table_->close(session, why);
      return RAP_OK;
    });
  }
  sink_->hub = nullptr;
}

rap_result AdapterSession::noted(const char* what, rap_result result) {
  if (result >= 0) return result;
  ++failures_;
  const auto now = Loop::Clock::now();
  if (last_noted_ != Loop::Clock::time_point{} && now - last_noted_ < 1s) return result;
  last_noted_ = now;
  log::warn("the plugin refused a call", {{"source", "plugin"},
                                          {"organization", host_.options().organization},
                                          {"session", host_.options().session_id},
                                          {"call", what},
                                          {"detail", host_.error_of(what, result).detail},
                                          {"count", std::exchange(failures_, 0)}});
  return result;
}

rap_result AdapterSession::attach(const rap_attach& who) {
  if (session_ == nullptr) return RAP_E_STATE;
  return noted("attach", host_.call("attach", [&] { return table_->attach(session_, &who); }));
}

rap_result AdapterSession::detach(std::uint64_t number) {
  if (session_ == nullptr) return RAP_E_STATE;
  return noted("detach", host_.call("detach", [&] { return table_->detach(session_, number); }));
}

rap_result AdapterSession::takeover(std::uint64_t old_number, const rap_attach& who) {
  if (session_ == nullptr) return RAP_E_STATE;
  if (table_->takeover == nullptr) {
    (void)detach(old_number);
    return attach(who);
  }
  return noted("takeover", host_.call("takeover", [&] {
    return table_->takeover(session_, old_number, &who);
  }));
}

rap_result AdapterSession::resize(std::uint32_t cols, std::uint32_t rows) {
  if (session_ == nullptr) return RAP_E_STATE;
  return noted("resize",
               host_.call("resize", [&] { return table_->resize(session_, cols, rows, 0); }));
}

rap_result AdapterSession::input(std::uint64_t number, const rap_frame* frames,
                                 std::uint32_t count) {
  if (session_ == nullptr) return RAP_E_STATE;
  const rap_result result =
      host_.call("input", [&] { return table_->input(session_, number, frames, count); });
  return result == RAP_E_BUSY ? result : noted("input", result);
}

void AdapterSession::writable() {
  if (session_ == nullptr || table_->writable == nullptr) return;
  (void)host_.call("writable", [&] {
    table_->writable(session_);
    return RAP_OK;
  });
}

}  // namespace rap::worker
