#include "base/net/batched_stream.hpp"

#include <cstring>

#include <boost/asio/post.hpp>

#include "base/net/net_error.hpp"
#include "base/net/task_group.hpp"

namespace rap::net {

namespace {

constexpr std::size_t kInBytes = 64 * 1024;

// Shared with the coroutine of the call that is pending.
struct State {
  State(asio::any_io_executor e, ByteStreamPtr s) : executor(e), stream(std::move(s)), tasks(e) {}

  asio::any_io_executor executor;
  ByteStreamPtr stream;
  Bytes in;
  std::size_t in_begin = 0;
  bool in_ended = false;
  Bytes out, sending;
  bool writing = false;
  bool end_wanted = false;
  bool end_sent = false;
  std::optional<Error> failure;
  std::function<void()> writable;
  TaskGroup tasks;
};

Task<void> read_more(std::shared_ptr<State> state, std::function<void()> then) {
  try {
    Bytes piece(kInBytes);
    const std::size_t n = co_await state->stream->read_some(piece);
    piece.resize(n);
    state->in = std::move(piece);
    state->in_begin = 0;
    state->in_ended = n == 0;
  } catch (const NetError& error) {
    state->failure = error.error();
  }
  then();
}

Task<void> write_out(std::shared_ptr<State> state) {
  try {
    while (!state->out.empty()) {
      state->sending.swap(state->out);
      co_await state->stream->write_all(state->sending);
      state->sending.clear();
    }
    if (state->end_wanted && !state->end_sent) {
      state->end_sent = true;
      co_await state->stream->shutdown();
    }
  } catch (const NetError& error) {
    state->failure = error.error();
  }
  state->writing = false;
  if (auto then = std::exchange(state->writable, nullptr)) then();
}

class BatchedStream final : public BatchedIo {
 public:
  BatchedStream(asio::any_io_executor executor, ByteStreamPtr stream)
      : state_(std::make_shared<State>(std::move(executor), std::move(stream))) {}
  ~BatchedStream() override { BatchedStream::close(); }

  std::optional<std::size_t> read_now(std::span<std::uint8_t> into) override {
    State& state = *state_;
    const std::size_t have = state.in.size() - state.in_begin;
    if (have > 0) {
      const std::size_t n = std::min(have, into.size());
      std::memcpy(into.data(), state.in.data() + state.in_begin, n);
      state.in_begin += n;
      if (n == have) {
        Bytes().swap(state.in);
        state.in_begin = 0;
      }
      return n;
    }
    if (state.failure) throw NetError(*state.failure);
    if (state.in_ended) return 0;
    return std::nullopt;
  }

  void on_readable(std::function<void()> then) override {
    if (!state_->in.empty() || state_->in_ended || state_->failure) {
      asio::post(state_->executor, std::move(then));
      return;
    }
    state_->tasks.spawn("read", read_more(state_, std::move(then)));
  }

  bool drained() const override { return state_->in.empty() && !state_->in_ended; }

  void put(ByteView bytes) override {
    state_->out.insert(state_->out.end(), bytes.begin(), bytes.end());
  }
  void put_end() override { state_->end_wanted = true; }

  bool push() override {
    State& state = *state_;
    if (state.failure) throw NetError(*state.failure);
    const bool something = !state.out.empty() || (state.end_wanted && !state.end_sent);
    if (something && !state.writing) {
      state.writing = true;
      state.tasks.spawn("write", write_out(state_));
    }
    return !state.writing;
  }

  std::size_t unsent() const override {
    return state_->out.size() + state_->sending.size() + (state_->writing ? 1 : 0);
  }
  void on_writable(std::function<void()> then) override {
    if (state_->writing) {
      state_->writable = std::move(then);
    } else {
      asio::post(state_->executor, std::move(then));
    }
  }

  void close() override {
    if (closed_) return;
    closed_ = true;
    state_->stream->close();
    state_->tasks.cancel();
  }

 private:
  std::shared_ptr<State> state_;
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<BatchedIo> make_batched_stream(asio::any_io_executor executor,
                                               ByteStreamPtr stream) {
  return std::make_unique<BatchedStream>(std::move(executor), std::move(stream));
}

}  // namespace rap::net
