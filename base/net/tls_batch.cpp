// TLS without waiting: several records for one send and one recv, through two flat buffers that
// exist only while bytes are in them.
#include <openssl/err.h>

#include <cstring>

#include "base/net/batched_stream.hpp"
#include "base/net/buffer_pool.hpp"
#include "base/net/direct_io.hpp"
#include "base/net/tls_internal.hpp"
#include "base/net/x509_internal.hpp"

namespace rap::net {

namespace {

// Received at once; over it the data leaves the L2 cache.
constexpr std::size_t kInBytes = 64 * 1024;

class TlsBatch final : public BatchedIo {
 public:
  TlsBatch(const asio::any_io_executor& executor, TlsParts parts, DirectIo& direct)
      : pool_(BufferPool::of(executor)),
        transport_(std::move(parts.transport)),
        direct_(direct),
        settings_(std::move(parts.settings)),
        ssl_(std::move(parts.ssl)) {
    if (!parts.unread.empty()) {
      in_ = pool_.take();
      std::memcpy(in_.get(), parts.unread.data(), parts.unread.size());
      in_end_ = parts.unread.size();
    }
    BIO* bio = BIO_new(bio_method());
    if (bio == nullptr) throw NetError(Errc::exhausted, "TLS: " + openssl_error());
    BIO_set_data(bio, this);
    SSL_set_bio(ssl_.get(), bio, bio);
    // Our buffer reads ahead. OpenSSL's would move all that follows a record, for every record.
    SSL_set_read_ahead(ssl_.get(), 0);
  }

  std::optional<std::size_t> read_now(std::span<std::uint8_t> into) override {
    if (failure_) throw NetError(*failure_);
    std::size_t have = 0;
    socket_empty_ = false;
    while (have < into.size()) {
      ERR_clear_error();
      std::size_t n = 0;
      if (SSL_read_ex(ssl_.get(), into.data() + have, into.size() - have, &n) == 1) {
        have += n;
        continue;
      }
      const int error = SSL_get_error(ssl_.get(), 0);
      if (error == SSL_ERROR_WANT_READ) {
        if (socket_empty_ || have > 0) break;
        if (!fill()) break;
        continue;
      }
      if (error == SSL_ERROR_ZERO_RETURN) {
        ended_ = true;
      } else if (!failure_) {
        failure_ = failure_of(error);
      }
      break;
    }
    // `into` is full: what else was received waits here, and no socket will tell of it.
    if (have == into.size()) socket_empty_ = false;
    if (in_begin_ == in_end_) in_.reset();
    if (have > 0) return have;
    if (failure_) throw NetError(*failure_);
    if (ended_) return 0;
    return std::nullopt;
  }

  void on_readable(std::function<void()> then) override { direct_.on_readable(std::move(then)); }

  bool drained() const override { return socket_empty_ && !ended_; }

  void put(ByteView bytes) override {
    while (!bytes.empty()) {
      ERR_clear_error();
      std::size_t n = 0;
      if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n) != 1) {
        throw NetError(failure_of(SSL_get_error(ssl_.get(), 0)));
      }
      bytes = bytes.subspan(n);
    }
  }

  void put_end() override {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }

  bool push() override {
    while (out_begin_ < out_end_) {
      const std::size_t n =
          direct_.write_now(ByteView(out_.get() + out_begin_, out_end_ - out_begin_));
      out_begin_ += n;
      if (n == 0) return false;
    }
    out_begin_ = out_end_ = 0;
    out_.reset();
    return true;
  }

  std::size_t unsent() const override { return out_end_ - out_begin_; }
  void on_writable(std::function<void()> then) override { direct_.on_writable(std::move(then)); }
  void close() override { transport_->close(); }

 private:
  static TlsBatch& of(BIO* bio) { return *static_cast<TlsBatch*>(BIO_get_data(bio)); }

  static int bio_read(BIO* bio, char* into, int size) {
    TlsBatch& self = of(bio);
    BIO_clear_retry_flags(bio);
    const std::size_t n = std::min(self.in_end_ - self.in_begin_, static_cast<std::size_t>(size));
    if (n == 0) {
      BIO_set_retry_read(bio);
      return -1;
    }
    std::memcpy(into, self.in_.get() + self.in_begin_, n);
    self.in_begin_ += n;
    return static_cast<int>(n);
  }

  // Takes all or, when the peer makes us answer and does not read, nothing.
  static int bio_write(BIO* bio, const char* from, int size) {
    TlsBatch& self = of(bio);
    BIO_clear_retry_flags(bio);
    const auto n = static_cast<std::size_t>(size);
    if (!self.out_) self.out_ = self.pool_.take();
    if (self.out_end_ + n > BufferPool::kBytes && self.out_begin_ > 0) {
      std::memmove(self.out_.get(), self.out_.get() + self.out_begin_, self.unsent());
      self.out_end_ = self.unsent();
      self.out_begin_ = 0;
    }
    if (self.out_end_ + n > BufferPool::kBytes) return -1;
    std::memcpy(self.out_.get() + self.out_end_, from, n);
    self.out_end_ += n;
    return size;
  }

  static long bio_ctrl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO_METHOD* bio_method() {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rap batch");
      BIO_meth_set_read(m, bio_read);
      BIO_meth_set_write(m, bio_write);
      BIO_meth_set_ctrl(m, bio_ctrl);
      BIO_meth_set_create(m, [](BIO* bio) {
        BIO_set_init(bio, 1);
        return 1;
      });
      return m;
    }();
    return method;
  }

  // More encrypted bytes; false when there are none now, or never more (failure_).
  bool fill() {
    if (!in_) in_ = pool_.take();
    if (in_begin_ == in_end_) in_begin_ = in_end_ = 0;
    if (in_end_ == kInBytes) {
      std::memmove(in_.get(), in_.get() + in_begin_, in_end_ - in_begin_);
      in_end_ -= in_begin_;
      in_begin_ = 0;
    }
    try {
      const std::size_t room = kInBytes - in_end_;
      const auto n = direct_.read_now(std::span(in_.get() + in_end_, room));
      if (!n) {
        socket_empty_ = true;
        return false;
      }
      if (*n == 0) {
        failure_ = Error{Errc::unavailable, "the connection was cut (no TLS end of stream)"};
        return false;
      }
      in_end_ += *n;
      socket_empty_ = *n < room;
    } catch (const NetError& error) {
      failure_ = error.error();
      return false;
    }
    return true;
  }

  static Error failure_of(int error) {
    if (error != SSL_ERROR_SSL) return Error{Errc::malformed, "TLS failed"};
    if (auto alert = pending_alert()) return *alert;
    return Error{Errc::malformed, "TLS: " + openssl_error()};
  }

  BufferPool& pool_;
  ByteStreamPtr transport_;
  DirectIo& direct_;  // of transport_
  std::shared_ptr<const void> settings_;
  BufferPool::Buffer in_;
  std::size_t in_begin_ = 0, in_end_ = 0;
  BufferPool::Buffer out_;
  std::size_t out_begin_ = 0, out_end_ = 0;
  bool socket_empty_ = false;  // the last recv got less than it asked for, and all of it was read
  bool ended_ = false;
  std::optional<Error> failure_;
  SslPtr ssl_;  // after what it points to
};

}  // namespace

std::unique_ptr<BatchedIo> make_batched_io(asio::any_io_executor executor, ByteStreamPtr stream) {
  auto* tls = dynamic_cast<TlsStream*>(stream.get());
  auto* direct = tls == nullptr ? nullptr : dynamic_cast<DirectIo*>(&tls->transport());
  if (direct == nullptr) return make_batched_stream(std::move(executor), std::move(stream));
  auto parts = take_apart(*stream);
  if (!parts) return make_batched_stream(std::move(executor), std::move(stream));
  return std::make_unique<TlsBatch>(executor, std::move(*parts), *direct);
}

}  // namespace rap::net
