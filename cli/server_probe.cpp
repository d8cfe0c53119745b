#include "cli/server_probe.hpp"

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <memory>

#include "base/fingerprint.hpp"
#include "base/net/http_client.hpp"
#include "base/net/net_error.hpp"
#include "base/net/tcp.hpp"
#include "cli/failure.hpp"
#include "cli/run_task.hpp"

namespace rap::cli {
namespace {

template <typename T, void (*Free)(T*)>
struct Freed {
  void operator()(T* object) const { Free(object); }
};
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX, SSL_CTX_free>>;
using Connection = std::unique_ptr<BIO, Freed<BIO, BIO_free_all>>;

// As long as other commands wait for a connection.
constexpr net::milliseconds kConnectTime{10'000};

// Whether anybody is there, in the words of all other commands and not in OpenSSL's; which also
// waits for as long as the kernel does.
void reach(const std::string& url, const net::HostPort& address) {
  net::asio::io_context io{1};
  try {
    run_task(io, net::connect_tcp(address.host, address.port, kConnectTime));
  } catch (const net::NetError& error) {
    throw Failure(error.error(), url, "is the control plane running, and is the address right?");
  }
}

Bytes spki_of(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  Bytes out;
  if (size > 0) out.assign(der, der + size);
  OPENSSL_free(der);
  return out;
}

}  // namespace

std::string ServerProbe::fingerprint() const {
  return fingerprint_text(ca_spki_sha256);
}

ServerProbe probe_server(const std::string& url) {
  const auto parsed = net::parse_url(url);
  if (!parsed || !parsed->https) {
    throw Failure(Exit::usage, "not a server address: '" + url + "'",
                  "give it as https://host:port");
  }
  reach(url, parsed->address);
  const Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  const Connection connection(BIO_new_ssl_connect(context.get()));
  SSL* ssl = nullptr;
  BIO_get_ssl(connection.get(), &ssl);
  BIO_set_conn_hostname(connection.get(), parsed->address.text().c_str());
  if (!net::is_ip_literal(parsed->address.host)) {
    SSL_set_tlsext_host_name(ssl, parsed->address.host.c_str());
  }
  if (BIO_do_connect(connection.get()) != 1 || BIO_do_handshake(connection.get()) != 1) {
    throw Failure(Exit::unavailable, url + ": no TLS 1.3 connection: " + openssl_error(),
                  "is the control plane running, and is the address right?");
  }
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);
  if (!chain || sk_X509_num(chain) < 2) {
    throw Failure(Exit::unauthorized, url + ": the server does not send its CA",
                  "get the CA's certificate from the owner and give it as --ca-file");
  }
  X509* ca = sk_X509_value(chain, sk_X509_num(chain) - 1);
  ServerProbe out;
  out.ca_spki_sha256 = sha256(spki_of(ca));
  char name[256] = {};
  X509_NAME_oneline(X509_get_subject_name(ca), name, sizeof name);
  out.ca_name = name;
  return out;
}

}  // namespace rap::cli
