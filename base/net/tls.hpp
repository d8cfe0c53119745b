// TLS 1.3 over a ByteStream. Verification cannot be forgotten: a context without trust is refused
// at construction, and connecting takes the expected peer as an argument.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/net/byte_stream.hpp"
#include "base/net/net_error.hpp"
#include "base/net/x509.hpp"

namespace rap::net {

using PeerCertificate = CertificateFacts;

// Trusts servers whose chain ends in one of these CAs. Empty text is refused.
struct TrustCa {
  std::string pem;
};
// Trusts the CA with this SubjectPublicKeyInfo hash, which the server must send in its chain.
struct TrustPin {
  Sha256Digest spki_sha256{};
};
using ServerTrust = std::variant<TrustCa, TrustPin>;

// Whom we expect at the other end; matched against subjectAltName (DNS or IP; URI). Empty is
// refused.
struct HostName {
  std::string name;
};
struct SpiffeId {
  std::string uri;
};
using ExpectedPeer = std::variant<HostName, SpiffeId>;

struct TlsClientOptions {
  ServerTrust trust;                    // required
  std::optional<TlsIdentity> identity;  // our certificate, when the server wants one
  std::vector<std::string> alpn;        // in order of preference; a server without any is refused
};

// Immutable, cheap to copy (shares one SSL_CTX), any thread.
class TlsClientContext {
 public:
  // `invalid` without trust, `malformed` for PEM that does not parse, `mismatch` for a key that is
  // not the certificate's.
  static Result<TlsClientContext> create(const TlsClientOptions& options);

  struct Impl;
  const std::shared_ptr<const Impl>& impl() const { return impl_; }

 private:
  explicit TlsClientContext(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// What a server asks of clients. RequireCa and OptionalCa check chain, use and validity; the
// handler still decides what a valid certificate may do.
struct RequireCa {
  std::string ca_pem;
};
struct OptionalCa {
  std::string ca_pem;  // may be empty: then any certificate is refused until set_client_ca
};
struct NoClientCertificate {};
// Asks for a certificate, requires one, checks only possession of its key. For the session port of
// a node, where the lease names the certificate.
struct AnyClientCertificate {};
using ClientPolicy = std::variant<RequireCa, OptionalCa, NoClientCertificate, AnyClientCertificate>;

struct TlsServerOptions {
  TlsIdentity identity;           // required
  ClientPolicy clients;           // required: the default, RequireCa without a CA, is refused
  std::vector<std::string> alpn;  // when not empty, a client must offer one of them
};

// Cheap to copy, copies share the settings, any thread. Changes apply to later handshakes only.
class TlsServerContext {
 public:
  static Result<TlsServerContext> create(const TlsServerOptions& options);

  // Replaces our certificate. On failure the old one stays.
  Status set_identity(const TlsIdentity& identity);
  // Replaces the CAs that clients are checked against (RequireCa, OptionalCa).
  Status set_client_ca(std::string ca_pem);

  struct Impl;
  const std::shared_ptr<Impl>& impl() const { return impl_; }

 private:
  explicit TlsServerContext(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

class TlsStream : public ByteStream {
 public:
  // nullopt: the client sent none.
  virtual const std::optional<PeerCertificate>& peer_certificate() const = 0;
  // The protocol chosen by ALPN; empty when none was asked for.
  virtual const std::string& alpn() const = 0;
  // The transport below, which the stream owns.
  virtual ByteStream& transport() = 0;
};

// Both take the transport over and close it on failure. `timeout` covers the handshake. Throw
// NetError (see net_error.hpp). In TLS 1.3 a client learns that its certificate was refused with
// its first read, as `unauthorized`, `expired` or `mismatch`.
Task<std::unique_ptr<TlsStream>> connect_tls(ByteStreamPtr transport, TlsClientContext context,
                                             ExpectedPeer peer, milliseconds timeout);
Task<std::unique_ptr<TlsStream>> accept_tls(ByteStreamPtr transport, TlsServerContext context,
                                            milliseconds timeout);
// Several servers on one port: the first one that speaks a protocol of the client's ALPN answers,
// with its certificate and its policy for clients; without such a one the handshake fails. Not
// empty; each has an alpn.
Task<std::unique_ptr<TlsStream>> accept_tls(ByteStreamPtr transport,
                                            std::vector<TlsServerContext> contexts,
                                            milliseconds timeout);

}  // namespace rap::net
