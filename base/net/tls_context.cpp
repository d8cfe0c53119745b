#include "base/net/tcp.hpp"
#include "base/net/tls_internal.hpp"
#include "base/net/x509_internal.hpp"

namespace rap::net {

namespace {

// One record buffer plus what follows it: several records per wake-up.
constexpr std::size_t kReadBufferBytes = 32 * 1024;

int choice_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int verification_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

Status check_host(X509* leaf, const std::string& name) {
  const bool fits = is_ip_literal(name) ? X509_check_ip_asc(leaf, name.c_str(), 0) == 1
                                        : X509_check_host(leaf, name.data(), name.size(),
                                                          X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                                              X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                                                          nullptr) == 1;
  if (fits) return {};
  return fail(Errc::mismatch, "the server's certificate is not for \"" + name + "\"");
}

Status check_peer(X509* leaf, const ExpectedPeer& peer) {
  if (const auto* host = std::get_if<HostName>(&peer)) return check_host(leaf, host->name);
  const std::string& wanted = std::get<SpiffeId>(peer).uri;
  const CertificateFacts facts = facts_of(leaf);
  if (facts.spiffe_uri == wanted) return {};
  return fail(Errc::mismatch,
              "the peer is " +
                  (facts.spiffe_uri.empty() ? "without a node identity" : facts.spiffe_uri) +
                  ", expected " + wanted);
}

// The one certificate of the presented chain that has the pinned key, as the only trusted one.
X509StorePtr store_of_pinned(STACK_OF(X509) * chain, const Sha256Digest& pin) {
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* candidate = sk_X509_value(chain, i);
    if (X509_check_ca(candidate) <= 0 || spki_sha256_of(candidate) != pin) continue;
    std::vector<X509Ptr> roots;
    X509_up_ref(candidate);
    roots.emplace_back(candidate);
    return make_store(roots);
  }
  return nullptr;
}

Status check_certificate(TlsVerification& verification, X509_STORE_CTX* presented, int& code) {
  X509* leaf = X509_STORE_CTX_get0_cert(presented);
  STACK_OF(X509)* chain = X509_STORE_CTX_get0_untrusted(presented);
  if (verification.any_certificate) return {};
  X509StorePtr pinned;
  X509_STORE* store = verification.store;
  if (verification.pin) {
    pinned = store_of_pinned(chain, *verification.pin);
    store = pinned.get();
  }
  if (store == nullptr) {
    code = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
    return fail(Errc::mismatch, verification.pin
                                    ? "the server's authority is not the one that was pinned"
                                    : "no authority for client certificates is known");
  }
  Status status = verify_against(store, leaf, chain, verification.use,
                                 to_unix_seconds(RealClock().now()), code);
  if (!status) return status;
  if (verification.peer) {
    status = check_peer(leaf, *verification.peer);
    if (!status) code = X509_V_ERR_HOSTNAME_MISMATCH;
  }
  return status;
}

int verify_callback(X509_STORE_CTX* presented, void*) {
  auto* ssl = static_cast<SSL*>(
      X509_STORE_CTX_get_ex_data(presented, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* verification = static_cast<TlsVerification*>(SSL_get_ex_data(ssl, verification_index()));
  int code = X509_V_ERR_APPLICATION_VERIFICATION;
  Status status = fail(Errc::internal, "certificate check did not run");
  try {
    if (verification != nullptr) status = check_certificate(*verification, presented, code);
  } catch (const std::exception& error) {
    status = fail(Errc::internal, error.what());
  }
  if (status) {
    X509_STORE_CTX_set_error(presented, X509_V_OK);
    return 1;
  }
  if (verification != nullptr) verification->error = status.error();
  X509_STORE_CTX_set_error(presented, code);
  return 0;
}

Result<Bytes> alpn_wire(const std::vector<std::string>& protocols) {
  Bytes out;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255) return fail(Errc::invalid, "alpn");
    out.push_back(static_cast<std::uint8_t>(protocol.size()));
    out.insert(out.end(), protocol.begin(), protocol.end());
  }
  return out;
}

Status use_identity(SSL_CTX* ctx, const TlsIdentity& identity) {
  auto chain = read_certificates(identity.certificate_pem);
  if (!chain) return fail(chain.error(), "certificate");
  auto key = read_private_key(identity.key_pem);
  if (!key) return fail(key.error());
  if (SSL_CTX_use_certificate(ctx, chain->front().get()) != 1) {
    return fail(Errc::malformed, "certificate: " + openssl_error());
  }
  for (std::size_t i = 1; i < chain->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(ctx, (*chain)[i].get()) != 1) {
      return fail(Errc::malformed, "chain: " + openssl_error());
    }
  }
  if (SSL_CTX_use_PrivateKey(ctx, key->get()) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
    openssl_error();
    return fail(Errc::mismatch, "the private key is not the certificate's");
  }
  return {};
}

Result<SslCtxPtr> new_context(const SSL_METHOD* method) {
  SslCtxPtr ctx(SSL_CTX_new(method));
  if (!ctx) return fail(Errc::internal, openssl_error());
  SSL_CTX_set_min_proto_version(ctx.get(), TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(ctx.get(), TLS1_3_VERSION);
  // AES-128 first: fastest per byte here; ChaCha20 for machines without AES instructions.
  SSL_CTX_set_ciphersuites(
      ctx.get(), "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384");
  SSL_CTX_set1_groups_list(ctx.get(), "X25519:P-256");
  SSL_CTX_set_mode(ctx.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(ctx.get(), 1);
  SSL_CTX_set_default_read_buffer_len(ctx.get(), kReadBufferBytes);
  // No resumption: every connection shows its certificate anew, so revocation has one place.
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(ctx.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CLEANSE_PLAINTEXT);  // secrets come this way
  SSL_CTX_set_num_tickets(ctx.get(), 0);
  SSL_CTX_set_cert_verify_callback(ctx.get(), verify_callback, nullptr);
  return ctx;
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size,
                const unsigned char* offered, unsigned offered_size, void* argument) {
  const auto* settings = static_cast<const TlsServerSettings*>(argument);
  unsigned char* chosen = nullptr;
  const int verdict = SSL_select_next_proto(&chosen, out_size, settings->alpn_wire.data(),
                                            static_cast<unsigned>(settings->alpn_wire.size()),
                                            offered, offered_size);
  *out = chosen;
  return verdict == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool speaks(const TlsServerSettings& server, ByteView offered) {
  unsigned char* chosen = nullptr;
  unsigned char size = 0;
  return SSL_select_next_proto(&chosen, &size, server.alpn_wire.data(),
                               static_cast<unsigned>(server.alpn_wire.size()), offered.data(),
                               static_cast<unsigned>(offered.size())) == OPENSSL_NPN_NEGOTIATED;
}

// Before anything of a certificate is chosen. A client without ALPN, or with one that nobody
// speaks, stays with the first server, which refuses it.
int choose_server(SSL* ssl, int*, void*) {
  auto* choice = static_cast<TlsChoice*>(SSL_get_ex_data(ssl, choice_index()));
  const unsigned char* extension = nullptr;
  std::size_t size = 0;
  if (choice == nullptr ||
      SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &extension,
                                &size) != 1 ||
      size < 2) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  const ByteView offered(extension + 2, size - 2);  // behind the length of the list
  for (const auto& server : choice->servers) {
    if (!speaks(*server, offered)) continue;
    if (SSL_set_SSL_CTX(ssl, server->ctx.get()) == nullptr) return SSL_CLIENT_HELLO_ERROR;
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(server->ctx.get()), nullptr);
    fit(*choice->verification, *server);
    break;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

Status apply_client_policy(TlsServerSettings& settings, const ClientPolicy& policy) {
  SSL_CTX* ctx = settings.ctx.get();
  const int required = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  if (std::holds_alternative<NoClientCertificate>(policy)) {
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, nullptr);
    return {};
  }
  if (std::holds_alternative<AnyClientCertificate>(policy)) {
    settings.any_certificate = true;
    SSL_CTX_set_verify(ctx, required, nullptr);
    return {};
  }
  const auto* require = std::get_if<RequireCa>(&policy);
  const std::string& pem =
      require != nullptr ? require->ca_pem : std::get<OptionalCa>(policy).ca_pem;
  SSL_CTX_set_verify(ctx, require != nullptr ? required : SSL_VERIFY_PEER, nullptr);
  if (pem.empty()) {
    if (require != nullptr) return fail(Errc::invalid, "a server without a client authority");
    return {};
  }
  auto roots = read_certificates(pem);
  if (!roots) return fail(roots.error(), "client authority");
  settings.store = make_store(*roots);
  return {};
}

Result<std::shared_ptr<const TlsServerSettings>> make_settings(const TlsServerOptions& options) {
  auto settings = std::make_shared<TlsServerSettings>();
  auto ctx = new_context(TLS_server_method());
  if (!ctx) return fail(ctx.error());
  settings->ctx = std::move(*ctx);
  SSL_CTX_set_client_hello_cb(settings->ctx.get(), choose_server, nullptr);
  Status status = use_identity(settings->ctx.get(), options.identity);
  if (status) status = apply_client_policy(*settings, options.clients);
  if (!status) return fail(status.error());
  auto wire = alpn_wire(options.alpn);
  if (!wire) return fail(wire.error());
  settings->alpn_wire = std::move(*wire);
  settings->wants_alpn = !options.alpn.empty();
  if (settings->wants_alpn) {
    SSL_CTX_set_alpn_select_cb(settings->ctx.get(), choose_alpn, settings.get());
  }
  return std::shared_ptr<const TlsServerSettings>(std::move(settings));
}

}  // namespace

void attach_choice(SSL* ssl, TlsChoice* choice) {
  SSL_set_ex_data(ssl, choice_index(), choice);
}

void fit(TlsVerification& verification, const TlsServerSettings& server) {
  verification.use = CertificateUse::client;
  verification.store = server.store.get();
  verification.any_certificate = server.any_certificate;
}

void attach_verification(SSL* ssl, TlsVerification* verification) {
  SSL_set_ex_data(ssl, verification_index(), verification);
}

Result<TlsClientContext> TlsClientContext::create(const TlsClientOptions& options) {
  auto impl = std::make_shared<Impl>();
  auto ctx = new_context(TLS_client_method());
  if (!ctx) return fail(ctx.error());
  impl->ctx = std::move(*ctx);
  SSL_CTX_set_verify(impl->ctx.get(), SSL_VERIFY_PEER, nullptr);
  if (const auto* trust = std::get_if<TrustCa>(&options.trust)) {
    if (trust->pem.empty()) return fail(Errc::invalid, "a client without trust");
    auto roots = read_certificates(trust->pem);
    if (!roots) return fail(roots.error(), "authority");
    impl->store = make_store(*roots);
  } else {
    impl->pin = std::get<TrustPin>(options.trust).spki_sha256;
    if (*impl->pin == Sha256Digest{}) return fail(Errc::invalid, "a client with an empty pin");
  }
  if (options.identity) {
    const Status status = use_identity(impl->ctx.get(), *options.identity);
    if (!status) return fail(status.error());
  }
  auto wire = alpn_wire(options.alpn);
  if (!wire) return fail(wire.error());
  impl->wants_alpn = !options.alpn.empty();
  if (impl->wants_alpn) {
    SSL_CTX_set_alpn_protos(impl->ctx.get(), wire->data(), static_cast<unsigned>(wire->size()));
  }
  return TlsClientContext(std::move(impl));
}

Result<TlsServerContext> TlsServerContext::create(const TlsServerOptions& options) {
  auto settings = make_settings(options);
  if (!settings) return fail(settings.error());
  auto impl = std::make_shared<Impl>();
  impl->options = options;
  impl->settings = std::move(*settings);
  return TlsServerContext(std::move(impl));
}

Status TlsServerContext::set_identity(const TlsIdentity& identity) {
  std::lock_guard lock(impl_->mutex);
  TlsServerOptions options = impl_->options;
  options.identity = identity;
  auto settings = make_settings(options);
  if (!settings) return fail(settings.error());
  impl_->options = std::move(options);
  impl_->settings = std::move(*settings);
  return {};
}

Status TlsServerContext::set_client_ca(std::string ca_pem) {
  std::lock_guard lock(impl_->mutex);
  TlsServerOptions options = impl_->options;
  if (auto* require = std::get_if<RequireCa>(&options.clients)) {
    require->ca_pem = std::move(ca_pem);
  } else if (auto* optional = std::get_if<OptionalCa>(&options.clients)) {
    optional->ca_pem = std::move(ca_pem);
  } else {
    return fail(Errc::invalid, "this server checks no client certificates against an authority");
  }
  auto settings = make_settings(options);
  if (!settings) return fail(settings.error());
  impl_->options = std::move(options);
  impl_->settings = std::move(*settings);
  return {};
}

}  // namespace rap::net
