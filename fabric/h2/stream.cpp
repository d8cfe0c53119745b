#include "fabric/h2/stream.hpp"

#include <algorithm>
#include <cstring>

#include "fabric/h2/connection_impl.hpp"

namespace rap::fabric {

namespace {

using net::NetError;
using net::Task;
using Impl = H2Connection::Impl;

// A buffer that grew to a whole window is given back once it is empty.
constexpr std::size_t kKeepBytes = 64 * 1024;
// Pieces that wait are joined up to one TLS record.
constexpr std::size_t kJoinBytes = 16 * 1024;

// Lends the caller's buffer to the connection for the time of one wait.
struct ReadSlot {
  H2StreamState& state;
  ReadSlot(H2StreamState& s, std::span<std::uint8_t> into) : state(s) {
    state.read_into = into;
    state.read_got = 0;
  }
  ~ReadSlot() { state.read_into = {}; }
};
struct WriteSlot {
  H2StreamState& state;
  WriteSlot(H2StreamState& s, ByteView bytes) : state(s) {
    state.out = bytes;
    state.headroom = false;
  }
  ~WriteSlot() { state.out = {}; }
};

std::size_t take(H2StreamState& state, std::span<std::uint8_t> into) {
  const std::size_t n = std::min(into.size(), state.in_size());
  std::memcpy(into.data(), state.in.data() + state.in_begin, n);
  state.in_begin += n;
  if (state.in_size() == 0) {
    state.in.clear();
    state.in_begin = 0;
    if (state.in.capacity() > kKeepBytes) Bytes().swap(state.in);
  }
  return n;
}

}  // namespace

void H2StreamState::keep(ByteView bytes) {
  waiting_bytes += bytes.size();
  // The first is being sent from: it must not move.
  if (waiting.size() > 1 && waiting.back().size() < kJoinBytes) {
    waiting.back().insert(waiting.back().end(), bytes.begin(), bytes.end());
    return;
  }
  Bytes& piece = waiting.emplace_back();
  piece.reserve(kFrameHeaderBytes + bytes.size());
  piece.resize(kFrameHeaderBytes);
  piece.insert(piece.end(), bytes.begin(), bytes.end());
  if (waiting.size() == 1) out = ByteView(piece).subspan(kFrameHeaderBytes);
}

void H2StreamState::sent(std::size_t bytes) {
  out = out.subspan(bytes);
  if (!waiting.empty()) {
    waiting_bytes -= bytes;
    if (out.empty()) {
      waiting.pop_front();
      if (!waiting.empty()) out = ByteView(waiting.front()).subspan(kFrameHeaderBytes);
    }
  }
  if (const auto keeps = sink) {
    keeps->on_sent(bytes);
  } else if (out.empty()) {
    written.set();
  }
}

H2Stream::H2Stream(std::shared_ptr<H2Connection> connection, std::shared_ptr<H2StreamState> state)
    : connection_(std::move(connection)), state_(std::move(state)) {}

H2Stream::~H2Stream() {
  state_->sink.reset();
  state_->abandoned = true;
  auto& impl = connection_->impl();
  if (state_->unread > 0) impl.consume(*state_, state_->unread);
  state_->in.clear();
  state_->in_begin = 0;
  // An orderly end under way is let out first; see on_frame_sent.
  if (!state_->out_end_wanted || (state_->out_ended && !state_->in_ended)) {
    impl.reset(*state_, NGHTTP2_CANCEL);
  }
}

Task<std::size_t> H2Stream::read_some(std::span<std::uint8_t> into) {
  const auto state = state_;
  const auto connection = connection_;
  if (closed_) throw NetError(Errc::cancelled, "read: closed");
  for (;;) {
    if (state->in_size() > 0) {
      const std::size_t n = take(*state, into);
      connection->impl().consume(*state, n);
      co_return n;
    }
    if (state->in_ended) co_return 0;
    if (state->error) throw NetError(*state->error);
    state->readable.reset();
    ReadSlot slot(*state, into);
    co_await state->readable.wait();
    if (state->read_got > 0) {
      const std::size_t n = state->read_got;
      connection->impl().consume(*state, n);
      co_return n;
    }
  }
}

Task<void> H2Stream::write_all(ByteView bytes) {
  const auto state = state_;
  const auto connection = connection_;
  if (closed_ || state->out_end_wanted) throw NetError(Errc::cancelled, "write: closed");
  if (bytes.empty()) co_return;
  WriteSlot slot(*state, bytes);
  for (;;) {
    if (state->error) throw NetError(*state->error);
    if (state->closed) throw NetError(Errc::unavailable, "write: the stream has ended");
    if (state->out.empty()) co_return;
    state->written.reset();
    connection->impl().resume(*state);
    if (state->out.empty()) co_return;
    co_await state->written.wait();
  }
}

Task<void> H2Stream::shutdown() {
  end();
  co_return;
}

void H2Stream::close() {
  if (closed_) return;
  closed_ = true;
  connection_->impl().reset(*state_, NGHTTP2_CANCEL);
  state_->fail_with(Error{Errc::cancelled, "closed"});
}

void H2Stream::attach(std::shared_ptr<StreamSink> sink) {
  const auto state = state_;
  state->sink = std::move(sink);
  if (state->in_size() > 0) {
    Bytes early(kFrameHeaderBytes);
    early.insert(early.end(), state->in.begin() + static_cast<std::ptrdiff_t>(state->in_begin),
                 state->in.end());
    Bytes().swap(state->in);
    state->in_begin = 0;
    if (const auto keeps = state->sink)
      keeps->on_bytes(std::span(early).subspan(kFrameHeaderBytes));
  }
  if (state->in_ended) {
    if (const auto keeps = state->sink) keeps->on_end();
  }
  if (state->closed) {
    if (const auto keeps = std::exchange(state->sink, nullptr)) {
      keeps->on_closed(state->error ? &*state->error : nullptr);
    }
  }
}

void H2Stream::send(std::span<std::uint8_t> bytes) {
  const auto state = state_;
  const auto connection = connection_;
  Impl& impl = connection->impl();
  if (bytes.empty() || closed_ || state->closed || state->error || state->out_end_wanted) return;
  if (impl.busy() || !state->waiting.empty()) {
    state->keep(bytes);
  } else {
    state->out = bytes;
    state->headroom = true;
    impl.encode(state.get());
    const ByteView rest = std::exchange(state->out, {});
    if (!rest.empty() && !state->closed) state->keep(rest);
  }
  state->headroom = true;
  impl.resume(*state);
}

std::size_t H2Stream::queued() const {
  return state_->waiting_bytes;
}

void H2Stream::end() {
  if (state_->out_end_wanted) return;
  state_->out_end_wanted = true;
  connection_->impl().resume(*state_);
}

void H2Stream::reset() {
  close();
}

void H2Stream::consumed(std::size_t bytes) {
  connection_->impl().consume(*state_, bytes);
}

}  // namespace rap::fabric
