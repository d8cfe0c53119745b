#include "fabric/resume/core.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace rap::resume {

using net::NetError;

namespace {

// How long a transport that was closed may take to let its calls go before they are cancelled.
constexpr milliseconds kPumpGrace{200};

Error close_error(CloseReason reason) {
  switch (reason) {
    case CloseReason::user:
      return {Errc::unavailable, "the other end closed the stream"};
    case CloseReason::protocol:
      return {Errc::malformed, "the other end says that this one broke the protocol"};
    case CloseReason::expired:
      break;
  }
  return {Errc::timeout, "the other end waited too long for a transport"};
}

}  // namespace

Core::Core(Setup setup)
    : executor_(setup.executor),
      limits_(setup.limits),
      clock_(*setup.clock),
      id_(setup.id),
      key_(std::move(setup.key)),
      open_(std::move(setup.open)),
      engine_(limits_, setup.peer_window, clock_.now()),
      readable_(executor_),
      writable_(executor_),
      kick_(executor_),
      watch_(executor_),
      tasks_(executor_) {}

void Core::start(net::ByteStreamPtr transport, Bytes greeting) {
  transport_ = std::move(transport);
  greeting_ = std::move(greeting);
  attachments_ = 1;
  tasks_.spawn("resumable stream", run(shared_from_this()));
}

Task<void> Core::run(std::shared_ptr<Core> self) {
  try {
    co_await self->live();
  } catch (...) {
    self->ended();
    throw;
  }
  self->ended();
}

Task<void> Core::live() {
  for (;;) {
    const std::uint64_t before = engine_.progress();
    co_await attachment();
    if (over_ || engine_.closing() || engine_.finished()) co_return;
    lost_at_ = clock_.now();
    log::debug("transport of a resumable stream lost", {{"stream", to_hex(id_)}});
    // A way that leads somewhere and dies at once must not be tried without a pause.
    if (engine_.progress() != before) pause_ = milliseconds(0);
    bool again = false;
    if (dials()) {
      again = co_await dial_again();
    } else {
      again = co_await wait_for_offer();
    }
    if (!again || over_) co_return;
    attach(next_peer_next_);
  }
}

void Core::ended() {
  over_ = true;
  if (!error_ && !engine_.finished()) {
    error_ = Error{Errc::unavailable, "the stream has ended"};
  }
  engine_.forget_output();
  wake_user();
  if (next_transport_) next_transport_->close();
  next_transport_.reset();
  const auto call = std::exchange(on_over_, nullptr);
  if (call) call();
}

void Core::attach(std::uint64_t peer_next) {
  const Status ok = engine_.attach(peer_next, clock_.now());
  if (!ok) broken(ok.error());  // CLOSE goes over the new transport
  transport_ = std::move(next_transport_);
  ++attachments_;
  if (dials()) return;
  Resumed answer;
  answer.epoch = epoch_;
  answer.next = engine_.next_in();
  answer.proof = make_proof(key_, End::acceptor, id_, epoch_, answer.next);
  greeting_ = encode(answer);
}

Task<void> Core::attachment() {
  attachment_over_ = false;
  reader_over_ = false;
  net::TaskGroup pumps(executor_);
  pumps.spawn("resume read", read_pump(shared_from_this()));
  pumps.spawn("resume write", write_pump(shared_from_this()));
  while (!attachment_over_) {
    watch_.reset();
    planned_ = next_deadline();
    co_await clock_.wait(watch_, planned_);
    if (!attachment_over_) on_time();
  }
  transport_->close();
  kick_.set();
  co_await pumps.drain(kPumpGrace);
  transport_.reset();
  engine_.detach();
}

TimePoint Core::next_deadline() const {
  TimePoint out = engine_.deadline();
  if (closing_until_) out = std::min(out, *closing_until_);
  if (linger_until_) out = std::min(out, *linger_until_);
  return out;
}

void Core::on_time() {
  const TimePoint now = clock_.now();
  if (linger_until_ && now >= *linger_until_) {
    linger_until_.reset();
    close(CloseReason::expired);
  }
  if (closing_until_ && now >= *closing_until_) {
    over_ = true;
    end_attachment();
  } else if (!engine_.on_time(now)) {
    log::info("resumable stream: the path is silent", {{"stream", to_hex(id_)}});
    end_attachment();
  }
  if (engine_.has_output(now)) kick_.set();
}

void Core::engine_changed() {
  if (engine_.has_output(clock_.now())) kick_.set();
  if (next_deadline() < planned_) watch_.set();
}

void Core::end_attachment() {
  attachment_over_ = true;
  watch_.set();
}

void Core::wake_user() {
  readable_.set();
  writable_.set();
}

void Core::fail_with(Error error) {
  if (!error_) error_ = std::move(error);
  over_ = true;
  wake_user();
  end_attachment();
}

void Core::broken(const Error& error) {
  log::warn("resumable stream: broken protocol",
            {{"stream", to_hex(id_)}, {"error", error.text()}});
  if (!error_) error_ = error;
  wake_user();
  close(CloseReason::protocol);
}

void Core::peer_closed(CloseReason reason) {
  fail_with(close_error(reason));
}

void Core::close(CloseReason reason) {
  if (over_ || engine_.closing()) return;
  if (!error_) {
    error_ =
        reason == CloseReason::expired ? close_error(reason) : Error{Errc::cancelled, "closed"};
  }
  wake_user();
  engine_.close(reason);
  if (!transport_ && reason != CloseReason::protocol) {
    over_ = true;  // nobody to tell
    watch_.set();
    return;
  }
  closing_until_ = clock_.now() + limits_.close_timeout;
  kick_.set();
  watch_.set();
}

bool Core::proves(const Resume& frame) const {
  return proof_holds(key_, End::dialler, id_, frame.epoch, frame.next, frame.proof);
}

void Core::offer(net::ByteStreamPtr transport, const Resume& frame) {
  epoch_ = frame.epoch;
  if (next_transport_) next_transport_->close();
  next_transport_ = std::move(transport);
  next_peer_next_ = frame.next;
  if (transport_) log::debug("a newer transport replaces one in use", {{"stream", to_hex(id_)}});
  end_attachment();
}

Task<bool> Core::wait_for_offer() {
  while (!next_transport_ && !over_) {
    TimePoint until = lost_at_ + limits_.resume_window;
    if (linger_until_) until = std::min(until, *linger_until_);
    if (clock_.now() >= until) {
      fail_with(Error{Errc::timeout, "the other end did not come back"});
      co_return false;
    }
    watch_.reset();
    co_await clock_.wait(watch_, until);
  }
  co_return !over_;
}

// ── What the user calls ─────────────────────────────────────────────────────────────────────────

Task<std::size_t> Core::read_some(std::span<std::uint8_t> into) {
  struct Slot {
    Core& core;
    Slot(Core& c, std::span<std::uint8_t> bytes) : core(c) {
      core.read_into_ = bytes;
      core.read_got_ = 0;
    }
    ~Slot() { core.read_into_ = {}; }
  };
  for (;;) {
    if (engine_.unread() > 0) {
      const std::size_t n = engine_.read(into, clock_.now());
      engine_changed();
      co_return n;
    }
    if (engine_.in_ended()) co_return 0;
    if (error_) throw NetError(*error_);
    readable_.reset();
    Slot slot(*this, into);
    co_await readable_.wait();
    if (read_got_ > 0) co_return read_got_;
  }
}

Task<void> Core::write_all(ByteView bytes) {
  if (engine_.end_wanted()) throw NetError(Errc::cancelled, "write: after the end");
  for (;;) {
    if (error_) throw NetError(*error_);
    const std::size_t n = engine_.write(bytes, clock_.now());
    bytes = bytes.subspan(n);
    if (n > 0) engine_changed();
    if (bytes.empty()) co_return;
    writable_.reset();
    co_await writable_.wait();
  }
}

void Core::shutdown() {
  if (over_) return;
  engine_.end(clock_.now());
  engine_changed();
}

void Core::user_gone() {
  if (over_) return;
  if (!engine_.end_wanted() || error_) {
    close(CloseReason::user);
    return;
  }
  linger_until_ = clock_.now() + limits_.resume_window;
  engine_.discard_input(clock_.now());
  engine_changed();
  watch_.set();
}

ResumeInfo Core::info() const {
  ResumeInfo out;
  out.attached = transport_ != nullptr;
  out.attachments = attachments_;
  out.resent_bytes = engine_.resent();
  out.unacknowledged = engine_.unacknowledged();
  out.unread = engine_.unread();
  out.memory = engine_.memory();
  return out;
}

namespace {

class Stream final : public ResumableStream {
 public:
  explicit Stream(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~Stream() override { core_->user_gone(); }

  Task<std::size_t> read_some(std::span<std::uint8_t> into) override {
    const auto core = core_;
    if (closed_) throw NetError(Errc::cancelled, "read: closed");
    const std::size_t n = co_await core->read_some(into);
    co_return n;
  }
  Task<void> write_all(ByteView bytes) override {
    const auto core = core_;
    if (closed_) throw NetError(Errc::cancelled, "write: closed");
    co_await core->write_all(bytes);
  }
  Task<void> shutdown() override {
    core_->shutdown();
    co_return;
  }
  void close() override {
    closed_ = true;
    core_->close(CloseReason::user);
  }
  ResumeInfo info() const override { return core_->info(); }

 private:
  std::shared_ptr<Core> core_;
  bool closed_ = false;
};

}  // namespace

ResumableStreamPtr Core::make_stream() {
  return std::make_unique<Stream>(shared_from_this());
}

}  // namespace rap::resume
