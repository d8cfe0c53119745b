#include <cstring>

#include <boost/asio/post.hpp>

#include "base/net/buffer_pool.hpp"
#include "base/net/direct_io.hpp"
#include "fabric/h2/turns.hpp"
#include "fabric/relay/credit.hpp"
#include "fabric/relay/splice.hpp"

namespace rap::fabric {

namespace {

using net::NetError;

// Pieces read from the socket in one turn: then others on the thread go first.
constexpr int kPiecesPerTurn = 4;

class SocketSplice final : public Splice,
                           public StreamSink,
                           public std::enable_shared_from_this<SocketSplice> {
 public:
  SocketSplice(net::asio::any_io_executor executor, std::unique_ptr<H2Stream> stream,
               std::unique_ptr<net::TcpStream> socket, SpliceOptions options)
      : executor_(executor),
        pool_(net::BufferPool::of(executor)),
        stream_(std::move(stream)),
        socket_(std::move(socket)),
        direct_(dynamic_cast<net::DirectIo&>(*socket_)),
        credit_(executor, std::move(options.slot)),
        done_(std::move(options.done)),
        turn_(options.turn) {}

  void start() {
    const auto self = shared_from_this();
    stream_->attach(self);
    if (!finished_) wait_readable();
  }

  // ---- from the stream ----

  void on_bytes(std::span<std::uint8_t> bytes) override {
    end_.up += bytes.size();
    if (finished_) return stream_->consumed(bytes.size());
    std::size_t n = 0;
    if (pending_.empty()) n = write(bytes);
    if (n == bytes.size() || finished_) return;
    pending_.insert(pending_.end(), bytes.begin() + static_cast<std::ptrdiff_t>(n), bytes.end());
    wait_writable();
  }
  void on_end() override {
    up_ended_ = true;
    if (pending_.empty() && !finished_) direct_.end_now();
  }
  void on_sent(std::size_t) override {
    if (!paused_ || stream_->queued() > 0) return;
    paused_ = false;
    next_turn();
  }
  void on_closed(const Error* why) override {
    stream_closed_ = true;
    if (why != nullptr) return fail(*why);
    finish_if_over();
  }

  void cut() override {
    const auto self = shared_from_this();
    fail(Error{Errc::cancelled, "cut"});
  }
  SpliceEnd counts() const override { return end_; }

 private:
  std::size_t write(ByteView bytes) {
    try {
      const std::size_t n = direct_.write_now(bytes);
      if (n > 0 && !stream_closed_) credit_.gone(*stream_, n, shared_from_this());
      return n;
    } catch (const NetError& error) {
      fail(error.error());
      return 0;
    }
  }

  void wait_writable() {
    if (waits_writable_) return;
    waits_writable_ = true;
    direct_.on_writable([self = shared_from_this()] {
      self->waits_writable_ = false;
      self->write_pending();
    });
  }
  void write_pending() {
    if (finished_) return;
    const std::size_t n = write(ByteView(pending_).subspan(pending_begin_));
    if (finished_) return;
    pending_begin_ += n;
    if (pending_begin_ < pending_.size()) return wait_writable();
    Bytes().swap(pending_);
    pending_begin_ = 0;
    if (up_ended_) direct_.end_now();
    finish_if_over();
  }

  void wait_readable() {
    direct_.on_readable([self = shared_from_this()] {
      if (self->turn_ == H2Limits::Turn::yielding) return self->next_turn();
      self->read_turn();
    });
  }
  void next_turn() {
    auto turn = [self = shared_from_this()] { self->read_turn(); };
    if (turn_ == H2Limits::Turn::yielding) return BulkTurns::of(executor_).add(std::move(turn));
    net::asio::post(executor_, std::move(turn));
  }
  void read_turn() {
    if (finished_ || stream_closed_) return;
    try {
      const auto buffer = pool_.take();
      const std::span<std::uint8_t> into(buffer.get() + kFrameHeaderBytes, kPieceBytes);
      for (int piece = 0; piece < kPiecesPerTurn; ++piece) {
        const auto n = direct_.read_now(into);
        if (!n) return wait_readable();
        if (*n == 0) {
          stream_->end();
          return;
        }
        end_.down += *n;
        stream_->send(into.first(*n));
        if (stream_->queued() > 0) {
          paused_ = true;
          return;
        }
        if (*n < into.size()) return wait_readable();
      }
      next_turn();
    } catch (const NetError& error) {
      fail(error.error());
    }
  }

  void fail(const Error& why) {
    if (finished_) return;
    end_.why = why;
    stream_->reset();
    finish();
  }
  // The stream may be over while bytes of it still wait for the socket.
  void finish_if_over() {
    if (stream_closed_ && pending_.empty()) finish();
  }
  void finish() {
    if (finished_) return;
    finished_ = true;
    socket_->close();
    credit_.end();
    if (const auto done = std::exchange(done_, nullptr)) done(end_);
  }

  net::asio::any_io_executor executor_;
  net::BufferPool& pool_;
  std::unique_ptr<H2Stream> stream_;
  std::unique_ptr<net::TcpStream> socket_;
  net::DirectIo& direct_;  // of socket_
  Credit credit_;
  std::function<void(const SpliceEnd&)> done_;
  H2Limits::Turn turn_;
  SpliceEnd end_;
  Bytes pending_;  // for the socket; at most the window of the stream
  std::size_t pending_begin_ = 0;
  bool waits_writable_ = false;
  bool paused_ = false;  // the stream has not taken the last piece
  bool up_ended_ = false;
  bool stream_closed_ = false;
  bool finished_ = false;
};

}  // namespace

std::shared_ptr<Splice> splice_socket(net::asio::any_io_executor executor,
                                      std::unique_ptr<H2Stream> stream,
                                      std::unique_ptr<net::TcpStream> socket,
                                      SpliceOptions options) {
  auto splice = std::make_shared<SocketSplice>(std::move(executor), std::move(stream),
                                               std::move(socket), std::move(options));
  splice->start();
  return splice;
}

}  // namespace rap::fabric
