#include <openssl/err.h>

#include <cstring>

#include "base/net/event.hpp"
#include "base/net/timer.hpp"
#include "base/net/tls_internal.hpp"
#include "base/net/x509_internal.hpp"

namespace rap::net {

namespace {

// Encrypted bytes gathered before one write below: 64 KiB costs 10 % more than 256 KiB in bulk and
// keeps a keystroke from waiting behind a quarter megabyte.
constexpr std::size_t kOutBatchBytes = 64 * 1024;
// A batch may be so much larger: the header of a frame must not make its end a batch of its own.
constexpr std::size_t kOutSlackBytes = 1024;
// Read from below at once: grows to 64 KiB when the peer sends that much; over it the data leaves
// the L2 cache.
constexpr std::size_t kInBytesMin = 4 * 1024;
constexpr std::size_t kInBytesMax = 64 * 1024;
// Output the peer provoked (key updates) while it does not read: more is an attack.
constexpr std::size_t kUnsentBytesMax = 256 * 1024;

// A flat buffer OpenSSL reads encrypted bytes from, and one it appends to.
struct Buffers {
  Bytes in = Bytes(kInBytesMin);
  std::size_t in_begin = 0;
  std::size_t in_end = 0;
  Bytes out;
};

int bio_read(BIO* bio, char* into, int size) {
  auto& buffers = *static_cast<Buffers*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const std::size_t have = buffers.in_end - buffers.in_begin;
  if (have == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t n = std::min(have, static_cast<std::size_t>(size));
  std::memcpy(into, buffers.in.data() + buffers.in_begin, n);
  buffers.in_begin += n;
  return static_cast<int>(n);
}

int bio_write(BIO* bio, const char* from, int size) {
  auto& buffers = *static_cast<Buffers*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  // As unsigned bytes: between different types the library copies one by one instead of by block.
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(from);
  buffers.out.insert(buffers.out.end(), bytes, bytes + size);
  return size;
}

long bio_ctrl(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

int bio_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* bio_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rap buffers");
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    BIO_meth_set_create(m, bio_create);
    return m;
  }();
  return method;
}

}  // namespace

static Error alert_error(int alert) {
  switch (alert) {
    case SSL_AD_UNKNOWN_CA:
      return {Errc::mismatch, "the peer does not know the authority of our certificate"};
    case SSL_AD_CERTIFICATE_EXPIRED:
      return {Errc::expired, "the peer says our certificate has expired; check both clocks"};
    case SSL_AD_CERTIFICATE_REVOKED:
      return {Errc::unauthorized, "the peer says our certificate is revoked"};
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_ACCESS_DENIED:
      return {Errc::unauthorized, "the peer refused our certificate"};
    case SSL_AD_CERTIFICATE_REQUIRED:
      return {Errc::unauthorized, "the peer requires a certificate"};
    case SSL_AD_NO_APPLICATION_PROTOCOL:
      return {Errc::unsupported, "the peer does not speak this protocol (ALPN)"};
    case SSL_AD_PROTOCOL_VERSION:
      return {Errc::unsupported, "the peer does not speak TLS 1.3"};
    default:
      return {Errc::malformed,
              std::string("the peer ended TLS: ") + SSL_alert_desc_string_long(alert)};
  }
}

std::optional<Error> pending_alert() {
  const unsigned long code = ERR_peek_last_error();
  const int reason = ERR_GET_REASON(code);
  if (ERR_GET_LIB(code) != ERR_LIB_SSL || reason <= SSL_AD_REASON_OFFSET) return std::nullopt;
  openssl_error();
  return alert_error(reason - SSL_AD_REASON_OFFSET);
}

namespace {

class TlsStreamImpl final : public TlsStream {
 public:
  TlsStreamImpl(ByteStreamPtr transport, asio::any_io_executor executor, SSL_CTX* ctx)
      : transport_(std::move(transport)), sent_(std::move(executor)), ssl_(SSL_new(ctx)) {
    BIO* bio = BIO_new(bio_method());
    if (!ssl_ || bio == nullptr) throw NetError(Errc::exhausted, "TLS: " + openssl_error());
    BIO_set_data(bio, &buffers_);
    SSL_set_bio(ssl_.get(), bio, bio);
    attach_verification(ssl_.get(), &verification_);
    sent_.set();
  }

  // Which settings the SSL points into.
  void keep(std::shared_ptr<const void> settings) { settings_ = std::move(settings); }
  SSL* ssl() { return ssl_.get(); }
  TlsVerification& verification() { return verification_; }

  Task<void> handshake() {
    for (;;) {
      ERR_clear_error();
      const int result = SSL_do_handshake(ssl_.get());
      const int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), result);
      std::optional<NetError> failure;
      if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ) failure = ssl_failure(error);
      if (!buffers_.out.empty()) co_await flush();  // also the alert that says why
      if (failure) throw NetError(*failure);
      if (error == SSL_ERROR_NONE) break;
      const bool more = co_await fill();
      if (!more) throw NetError(Errc::unavailable, "the peer closed the connection before TLS");
    }
    const unsigned char* protocol = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &protocol, &size);
    if (size > 0) alpn_.assign(reinterpret_cast<const char*>(protocol), size);
    const X509Ptr certificate(SSL_get1_peer_certificate(ssl_.get()));
    if (certificate) peer_ = facts_of(certificate.get());
  }

  // After a refusal: read on for a moment, so that our alert is not lost in a reset.
  Task<void> linger() {
    try {
      co_await transport_->shutdown();
      Bytes rest(kInBytesMin);
      for (std::size_t total = 0; total < kInBytesMax;) {
        const std::size_t n = co_await transport_->read_some(rest);
        if (n == 0) break;
        total += n;
      }
    } catch (const NetError&) {
      // Gone already: nobody to tell.
    }
  }

  Task<std::size_t> read_some(std::span<std::uint8_t> into) override {
    for (;;) {
      if (closed_) throw NetError(Errc::cancelled, "read: closed");
      if (read_failure_) throw NetError(*read_failure_);
      int error = SSL_ERROR_NONE;
      const std::size_t n = decrypt(into, error);
      if (!buffers_.out.empty()) {
        if (sent_.is_set()) {
          co_await flush();
        } else if (buffers_.out.size() > kUnsentBytesMax) {
          throw NetError(Errc::malformed, "TLS: the peer provokes answers and does not read");
        }
      }
      if (n > 0) co_return n;
      if (error == SSL_ERROR_ZERO_RETURN) co_return 0;
      if (read_failure_) throw NetError(*read_failure_);
      const bool more = co_await fill();
      if (!more) {
        throw NetError(Errc::unavailable, "the connection was cut (no TLS end of stream)");
      }
    }
  }

  Task<void> write_all(ByteView bytes) override {
    while (!bytes.empty()) {
      if (closed_) throw NetError(Errc::cancelled, "write: closed");
      ERR_clear_error();
      std::size_t n = 0;
      const std::size_t ask =
          bytes.size() <= kOutBatchBytes + kOutSlackBytes ? bytes.size() : kOutBatchBytes;
      const int result = SSL_write_ex(ssl_.get(), bytes.data(), ask, &n);
      if (result != 1) throw ssl_failure(SSL_get_error(ssl_.get(), result));
      bytes = bytes.subspan(n);
      if (buffers_.out.size() >= kOutBatchBytes) co_await flush();
    }
    co_await flush();
  }

  Task<void> shutdown() override {
    if (closed_) throw NetError(Errc::cancelled, "shutdown: closed");
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
    co_await flush();
    co_await transport_->shutdown();
  }

  void close() override {
    closed_ = true;
    if (transport_) transport_->close();
  }

  TlsParts take_apart() {
    closed_ = true;
    attach_verification(ssl_.get(), nullptr);
    TlsParts out;
    out.transport = std::move(transport_);
    out.settings = std::move(settings_);
    out.unread.assign(buffers_.in.begin() + static_cast<std::ptrdiff_t>(buffers_.in_begin),
                      buffers_.in.begin() + static_cast<std::ptrdiff_t>(buffers_.in_end));
    out.ssl = std::move(ssl_);
    return out;
  }

  const std::optional<PeerCertificate>& peer_certificate() const override { return peer_; }
  const std::string& alpn() const override { return alpn_; }
  ByteStream& transport() override { return *transport_; }

 private:
  // Sends what OpenSSL produced. Two may call it (a writer, and a reader that must answer): the
  // second waits for the first, which sends the bytes of both.
  Task<void> flush() {
    if (!sent_.is_set()) {
      co_await sent_.wait();
      if (buffers_.out.empty()) co_return;
    }
    if (buffers_.out.empty()) co_return;
    sent_.reset();
    try {
      while (!buffers_.out.empty()) {
        sending_.clear();
        std::swap(sending_, buffers_.out);
        co_await transport_->write_all(sending_);
      }
    } catch (...) {
      closed_ = true;  // part of a record may be out: nothing after it can make sense
      sent_.set();
      throw;
    }
    if (sending_.capacity() > 4 * kOutBatchBytes) Bytes().swap(sending_);
    sent_.set();
  }

  // All records that are here, one after the other: one wake-up above for several of them.
  std::size_t decrypt(std::span<std::uint8_t> into, int& error) {
    std::size_t have = 0;
    while (have < into.size()) {
      ERR_clear_error();
      std::size_t n = 0;
      const int result = SSL_read_ex(ssl_.get(), into.data() + have, into.size() - have, &n);
      if (result != 1) {
        error = SSL_get_error(ssl_.get(), result);
        if (error != SSL_ERROR_ZERO_RETURN && error != SSL_ERROR_WANT_READ) {
          read_failure_ = ssl_failure(error);  // after the bytes before it
        }
        break;
      }
      have += n;
    }
    return have;
  }

  // More encrypted bytes from below; false at its end.
  Task<bool> fill() {
    if (buffers_.in_begin == buffers_.in_end) buffers_.in_begin = buffers_.in_end = 0;
    const std::size_t n =
        co_await transport_->read_some(std::span(buffers_.in).subspan(buffers_.in_end));
    buffers_.in_end += n;
    if (n == buffers_.in.size() && n < kInBytesMax) buffers_.in.resize(n * 4);
    co_return n != 0;
  }

  NetError ssl_failure(int error) {
    if (verification_.error) return NetError(*verification_.error);
    if (error == SSL_ERROR_SSL) {
      if (const auto alert = pending_alert()) return NetError(*alert);
      if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        openssl_error();
        return NetError(Errc::unauthorized, "the client sent no certificate");
      }
      return NetError(Errc::malformed, "TLS: " + openssl_error());
    }
    return NetError(Errc::malformed, "TLS failed");
  }

  ByteStreamPtr transport_;
  Event sent_;  // set while no flush is under way
  std::shared_ptr<const void> settings_;
  TlsVerification verification_;
  Buffers buffers_;
  Bytes sending_;
  SslPtr ssl_;  // after what it points to
  std::optional<PeerCertificate> peer_;
  std::string alpn_;
  std::optional<NetError> read_failure_;
  bool closed_ = false;
};

// Common end of both handshakes.
Task<std::unique_ptr<TlsStream>> finish(std::unique_ptr<TlsStreamImpl> stream, bool wants_alpn,
                                        milliseconds timeout) {
  std::optional<NetError> failure;
  try {
    co_await with_deadline(stream->handshake(), timeout);
    if (wants_alpn && stream->alpn().empty()) {
      failure = NetError(Errc::unsupported, "the peer does not speak this protocol (ALPN)");
    }
  } catch (const NetError& error) {
    failure = error;
    if (error.code() == Errc::timeout) failure = NetError(Errc::timeout, "TLS handshake");
  }
  if (!failure) co_return stream;
  if (stream->verification().error) {
    try {
      co_await with_deadline(stream->linger(), milliseconds(1000));
    } catch (const NetError&) {
      // Long enough.
    }
  }
  stream->close();
  throw NetError(*failure);
}

}  // namespace

std::optional<TlsParts> take_apart(ByteStream& stream) {
  auto* tls = dynamic_cast<TlsStreamImpl*>(&stream);
  if (tls == nullptr) return std::nullopt;
  return tls->take_apart();
}

Task<std::unique_ptr<TlsStream>> connect_tls(ByteStreamPtr transport, TlsClientContext context,
                                             ExpectedPeer peer, milliseconds timeout) {
  const auto* host = std::get_if<HostName>(&peer);
  const std::string& name = host != nullptr ? host->name : std::get<SpiffeId>(peer).uri;
  if (name.empty()) throw NetError(Errc::invalid, "connect_tls: no expected peer");
  auto executor = co_await asio::this_coro::executor;
  const TlsClientContext::Impl& impl = *context.impl();
  auto stream = std::make_unique<TlsStreamImpl>(std::move(transport), executor, impl.ctx.get());
  stream->keep(context.impl());
  stream->verification().use = CertificateUse::server;
  stream->verification().store = impl.store.get();
  stream->verification().pin = impl.pin;
  if (host != nullptr && !host->name.empty()) {
    SSL_set_tlsext_host_name(stream->ssl(), host->name.c_str());
  }
  stream->verification().peer = std::move(peer);
  SSL_set_connect_state(stream->ssl());
  co_return co_await finish(std::move(stream), impl.wants_alpn, timeout);
}

Task<std::unique_ptr<TlsStream>> accept_tls(ByteStreamPtr transport, TlsServerContext context,
                                            milliseconds timeout) {
  auto executor = co_await asio::this_coro::executor;
  const auto settings = context.impl()->current();
  auto stream =
      std::make_unique<TlsStreamImpl>(std::move(transport), executor, settings->ctx.get());
  stream->keep(settings);
  fit(stream->verification(), *settings);
  SSL_set_accept_state(stream->ssl());
  co_return co_await finish(std::move(stream), settings->wants_alpn, timeout);
}

Task<std::unique_ptr<TlsStream>> accept_tls(ByteStreamPtr transport,
                                            std::vector<TlsServerContext> contexts,
                                            milliseconds timeout) {
  auto executor = co_await asio::this_coro::executor;
  const auto choice = std::make_shared<TlsChoice>();
  for (const TlsServerContext& context : contexts) {
    choice->servers.push_back(context.impl()->current());
  }
  auto stream = std::make_unique<TlsStreamImpl>(std::move(transport), executor,
                                                choice->servers.front()->ctx.get());
  stream->keep(choice);
  choice->verification = &stream->verification();
  fit(stream->verification(), *choice->servers.front());
  attach_choice(stream->ssl(), choice.get());
  SSL_set_accept_state(stream->ssl());
  co_return co_await finish(std::move(stream), true, timeout);
}

}  // namespace rap::net
