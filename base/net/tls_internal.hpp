// Private to base/net: what contexts and streams share.
#pragma once

#include <mutex>
#include <optional>

#include "base/net/openssl_ptr.hpp"
#include "base/net/tls.hpp"

namespace rap::net {

struct TlsClientContext::Impl {
  SslCtxPtr ctx;
  X509StorePtr store;               // of TrustCa
  std::optional<Sha256Digest> pin;  // of TrustPin
  bool wants_alpn = false;
};

// One immutable generation of a server's settings; handshakes in flight keep theirs.
struct TlsServerSettings {
  SslCtxPtr ctx;
  X509StorePtr store;
  bool any_certificate = false;
  bool wants_alpn = false;
  Bytes alpn_wire;  // what the ALPN callback reads
};

struct TlsServerContext::Impl {
  std::mutex mutex;
  TlsServerOptions options;                           // guarded by mutex
  std::shared_ptr<const TlsServerSettings> settings;  // guarded by mutex

  std::shared_ptr<const TlsServerSettings> current() {
    std::lock_guard lock(mutex);
    return settings;
  }
};

// What one handshake checks; the SSL object points at it.
struct TlsVerification {
  CertificateUse use = CertificateUse::server;
  X509_STORE* store = nullptr;  // null with a pin or any_certificate
  std::optional<Sha256Digest> pin;
  std::optional<ExpectedPeer> peer;  // always set on clients
  bool any_certificate = false;
  std::optional<Error> error;  // why the certificate was refused
};

// Which of several servers of one port a client wants; the callback on its first message chooses.
struct TlsChoice {
  std::vector<std::shared_ptr<const TlsServerSettings>> servers;
  TlsVerification* verification = nullptr;  // is made to fit
};
// Attaches `choice`, which must outlive the handshake.
void attach_choice(SSL* ssl, TlsChoice* choice);
void fit(TlsVerification& verification, const TlsServerSettings& server);

// What is left of a stream whose handshake is done and that nobody reads or writes any more.
struct TlsParts {
  ByteStreamPtr transport;
  std::shared_ptr<const void> settings;  // which the SSL points into
  Bytes unread;                          // encrypted bytes that came already
  SslPtr ssl;
};
// nullopt, and the stream as it was, when `stream` is not one of ours.
std::optional<TlsParts> take_apart(ByteStream& stream);

// The alert of the peer that OpenSSL's queue of errors ends with; empties the queue then.
std::optional<Error> pending_alert();

// Attaches `verification`, which must outlive the handshake.
void attach_verification(SSL* ssl, TlsVerification* verification);

}  // namespace rap::net
