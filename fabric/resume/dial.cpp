// Opening a resumable stream, and opening its next transport.
#include <algorithm>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "fabric/resume/core.hpp"

namespace rap::resume {

using net::NetError;

namespace {

Error refusal_error(Refusal reason) {
  switch (reason) {
    case Refusal::malformed:
      return {Errc::malformed, "the other end does not accept our first frame"};
    case Refusal::version:
      return {Errc::unsupported, "the other end speaks another version of the resume format"};
    case Refusal::full:
      return {Errc::exhausted, "the other end has no room for another stream"};
    case Refusal::unknown:
      return {Errc::not_found, "the other end no longer has this stream"};
    case Refusal::stale:
      break;
  }
  return {Errc::rollback, "the other end knows a newer transport"};
}

template <std::size_t N>
std::array<std::uint8_t, N> random_array() {
  std::array<std::uint8_t, N> out;
  const Bytes bytes = random_bytes(N);
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

// Within a quarter of `pause`, so that the streams of a dead relay do not come all at once.
milliseconds jittered(milliseconds pause) {
  const int permille = 750 + random_bytes(1)[0] * 500 / 255;
  return pause * permille / 1000;
}

struct Opened {
  net::ByteStreamPtr transport;
  Random ours{};
  Welcome welcome;
};

Task<void> say_hello(const OpenTransport& open, std::uint32_t window, Opened& out) {
  out.transport = co_await open();
  if (!out.transport) throw NetError(Errc::unavailable, "there is no way to the other end");
  Hello hello;
  out.ours = random_array<32>();
  hello.random = out.ours;
  hello.window = window;
  const Bytes frame = encode(hello);
  co_await out.transport->write_all(frame);
  Bytes body;
  const FrameHeader header = co_await read_opening(*out.transport, Phase::answering, body);
  if (header.type == FrameType::refused) {
    throw NetError(refusal_error(static_cast<Refusal>(header.value)));
  }
  if (header.type != FrameType::welcome) throw NetError(Errc::malformed, "not a WELCOME");
  const auto welcome = decode_welcome(body);
  if (!welcome) throw NetError(welcome.error());
  out.welcome = *welcome;
}

}  // namespace

Task<FrameHeader> read_opening(net::ByteStream& transport, Phase phase, Bytes& body) {
  std::array<std::uint8_t, kHeaderBytes> bytes;
  const bool came = co_await net::read_exact(transport, bytes);
  if (!came) throw NetError(Errc::unavailable, "the transport ended before its first frame");
  const auto header = decode_header(bytes, phase);
  if (!header) throw NetError(header.error());
  body.resize(header->length);
  if (!body.empty()) {
    const bool whole = co_await net::read_exact(transport, body);
    if (!whole) throw NetError(Errc::unavailable, "the transport ended in its first frame");
  }
  co_return *header;
}

Task<ResumableStreamPtr> open_resumable(OpenTransport open, ResumeLimits limits,
                                        const ResumeClock& clock) {
  auto executor = co_await net::asio::this_coro::executor;
  Opened opened;
  net::Event wake(executor);
  const bool done = co_await run_until(clock, wake, say_hello(open, limits.window, opened),
                                       clock.now() + limits.try_timeout);
  if (!done) throw NetError(Errc::timeout, "the other end did not answer");
  Core::Setup setup;
  setup.executor = executor;
  setup.limits = limits;
  setup.clock = &clock;
  setup.peer_window = opened.welcome.window;
  setup.id = opened.welcome.id;
  setup.key = derive_key(opened.welcome.id, opened.ours, opened.welcome.random);
  setup.open = std::move(open);
  auto core = std::make_shared<Core>(std::move(setup));
  core->start(std::move(opened.transport), {});
  co_return core->make_stream();
}

Task<bool> Core::dial_again() {
  for (;;) {
    TimePoint until = lost_at_ + limits_.resume_window;
    if (linger_until_) until = std::min(until, *linger_until_);
    const TimePoint begin = std::min(until, clock_.now() + jittered(pause_));
    while (!over_ && clock_.now() < begin) {
      watch_.reset();
      co_await clock_.wait(watch_, begin);
    }
    if (over_) co_return false;
    if (clock_.now() >= until) {
      fail_with(Error{Errc::timeout, "no way to the other end for too long"});
      co_return false;
    }
    pause_ =
        pause_ == milliseconds(0) ? limits_.retry_first : std::min(pause_ * 2, limits_.retry_max);
    const TimePoint limit = std::min(until, clock_.now() + limits_.try_timeout);
    std::optional<Error> failed;
    try {
      (void)co_await run_until(clock_, watch_, try_once(), limit, &over_);
    } catch (const NetError& error) {
      failed = error.error();
    }
    if (over_) co_return false;
    if (next_transport_) co_return true;
    if (try_failed_) {
      fail_with(*try_failed_);
      co_return false;
    }
    if (failed) {
      log::debug("resumable stream: no transport yet",
                 {{"stream", to_hex(id_)}, {"error", failed->text()}});
    }
  }
}

Task<void> Core::try_once() {
  net::ByteStreamPtr transport = co_await open_();
  if (!transport) {
    try_failed_ = Error{Errc::unavailable, "there is no way to the other end any more"};
    co_return;
  }
  Resume question;
  question.epoch = ++epoch_;
  question.id = id_;
  question.next = engine_.next_in();
  question.proof = make_proof(key_, End::dialler, id_, question.epoch, question.next);
  const Bytes frame = encode(question);
  co_await transport->write_all(frame);
  Bytes body;
  const FrameHeader header = co_await read_opening(*transport, Phase::answering, body);
  if (header.type == FrameType::refused) {
    const auto reason = static_cast<Refusal>(header.value);
    if (reason != Refusal::stale) try_failed_ = refusal_error(reason);
    co_return;
  }
  if (header.type != FrameType::resumed) throw NetError(Errc::malformed, "not a RESUMED");
  const auto answer = decode_resumed(header, body);
  if (!answer) throw NetError(answer.error());
  if (answer->epoch != question.epoch ||
      !proof_holds(key_, End::acceptor, id_, answer->epoch, answer->next, answer->proof)) {
    throw NetError(Errc::unauthorized, "the answer was not made by the other end");
  }
  next_peer_next_ = answer->next;
  next_transport_ = std::move(transport);
}

}  // namespace rap::resume
