#include "host/listener/config.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/net/x509.hpp"
#include "fabric/lease_keys.hpp"

namespace rap::listener {

namespace {

Status check_certificate(const net::TlsIdentity& identity, const std::string& ca_pem,
                         const std::string& audience, SystemTime now) {
  const auto facts = net::parse_certificate_pem(identity.certificate_pem);
  if (!facts) return fail(facts.error());
  if (facts->spiffe_uri != audience) {
    return fail(Errc::mismatch, "the certificate names " + facts->spiffe_uri + ", not " + audience);
  }
  return net::verify_chain(facts->der, {}, ca_pem, net::CertificateUse::server, now);
}

}  // namespace

Result<ListenerConfig> parse_configure(const boost::json::object& message, SystemTime now) {
  std::string texts[6];
  const std::string_view names[] = {"listen",         "certificate_pem", "key_pem",
                                    "cluster_ca_pem", "audience",        "issuer"};
  for (std::size_t i = 0; i < std::size(names); ++i) {
    auto text = json_string(message, names[i]);
    if (!text) return fail(text.error(), "configure");
    texts[i] = std::move(*text);
  }
  auto& [listen, certificate_pem, key_pem, ca_pem, audience, issuer] = texts;
  auto address = net::parse_host_port(listen);
  if (!address) return fail(address.error(), "configure: listen");

  net::TlsServerOptions tls;
  tls.identity = net::TlsIdentity{std::move(certificate_pem), std::move(key_pem)};
  // The lease names the one certificate that may use it; nobody else vouches for clients.
  tls.clients = net::AnyClientCertificate{};
  tls.alpn.push_back("h2");
  const Status certificate = check_certificate(tls.identity, ca_pem, audience, now);
  if (!certificate) return fail(certificate.error(), "configure");
  auto context = net::TlsServerContext::create(tls);
  if (!context) return fail(context.error(), "configure");

  auto keys = fabric::lease_keys_from_json(message);
  if (!keys) return fail(keys.error(), "configure");
  auto verifier = fabric::LeaseVerifier::create(issuer, audience, *keys);
  if (!verifier) return fail(verifier.error(), "configure");
  return ListenerConfig{std::move(*address), std::move(*context), std::move(*verifier)};
}

}  // namespace rap::listener
