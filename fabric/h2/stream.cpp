#include <algorithm>
#include <cstring>

#include "fabric/h2/connection_impl.hpp"

namespace rap::fabric {

namespace {

using net::NetError;
using net::Task;

// A buffer that grew to a whole window is given back once it is empty.
constexpr std::size_t kKeepBytes = 64 * 1024;

class H2Stream final : public net::ByteStream {
 public:
  H2Stream(std::shared_ptr<H2Connection> connection, std::shared_ptr<H2StreamState> state)
      : connection_(std::move(connection)), state_(std::move(state)) {}

  ~H2Stream() override {
    state_->abandoned = true;
    auto& impl = connection_->impl();
    const std::size_t unread = state_->in_size();
    if (unread > 0) impl.consume(*state_, unread);
    state_->in.clear();
    state_->in_begin = 0;
    // An orderly end under way is let out first; see on_frame_sent.
    if (!state_->out_end_wanted || (state_->out_ended && !state_->in_ended)) {
      impl.reset(*state_, NGHTTP2_CANCEL);
    }
  }

  Task<std::size_t> read_some(std::span<std::uint8_t> into) override {
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

  Task<void> write_all(ByteView bytes) override {
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
      co_await state->written.wait();
    }
  }

  Task<void> shutdown() override {
    if (!state_->out_end_wanted) {
      state_->out_end_wanted = true;
      connection_->impl().resume(*state_);
    }
    co_return;
  }

  void close() override {
    if (closed_) return;
    closed_ = true;
    connection_->impl().reset(*state_, NGHTTP2_CANCEL);
    state_->fail_with(Error{Errc::cancelled, "closed"});
  }

 private:
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
    WriteSlot(H2StreamState& s, ByteView bytes) : state(s) { state.out = bytes; }
    ~WriteSlot() { state.out = {}; }
  };

  static std::size_t take(H2StreamState& state, std::span<std::uint8_t> into) {
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

  std::shared_ptr<H2Connection> connection_;
  std::shared_ptr<H2StreamState> state_;
  bool closed_ = false;
};

}  // namespace

net::ByteStreamPtr make_h2_stream(std::shared_ptr<H2Connection> connection,
                                  std::shared_ptr<H2StreamState> state) {
  return std::make_unique<H2Stream>(std::move(connection), std::move(state));
}

}  // namespace rap::fabric
