#include "controlplane/pki/authority.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>

#include "base/crypto.hpp"
#include "base/net/tcp.hpp"

namespace rap::cp {
namespace {

template <auto fn>
struct Free {
  template <typename T>
  void operator()(T* p) const {
    fn(p);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using CertPtr = std::unique_ptr<X509, Free<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Free<X509_REQ_free>>;
using BioPtr = std::unique_ptr<BIO, Free<BIO_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;

void check(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string(what) + ": " + openssl_error());
}

BioPtr reader(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}
// Keys here have no passphrase; without a callback OpenSSL would ask at the terminal.
int no_passphrase(char*, int, int, void*) {
  return 0;
}
KeyPtr read_key(std::string_view pem) {
  return KeyPtr(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, no_passphrase, nullptr));
}
CertPtr read_certificate(std::string_view pem) {
  return CertPtr(PEM_read_bio_X509(reader(pem).get(), nullptr, no_passphrase, nullptr));
}
RequestPtr read_request(std::string_view pem) {
  return RequestPtr(PEM_read_bio_X509_REQ(reader(pem).get(), nullptr, no_passphrase, nullptr));
}

std::string certificate_text(X509* certificate) {
  BioPtr out(BIO_new(BIO_s_mem()));
  check(PEM_write_bio_X509(out.get(), certificate) == 1, "write certificate");
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

Bytes public_key_der(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  check(size > 0, "encode public key");
  Bytes bytes(der, der + size);
  OPENSSL_free(der);
  return bytes;
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  check(extension && X509_add_ext(certificate, extension.get(), -1) == 1, "certificate extension");
}

// ",DNS:a,IP:b": the form of OpenSSL's configuration files.
std::string alternatives(const std::vector<std::string>& hosts) {
  std::string out;
  for (const std::string& host : hosts) {
    out += (net::is_ip_literal(host) ? ",IP:" : ",DNS:") + host;
  }
  return out;
}

struct Template {
  std::string common_name;
  SystemTime from;
  SystemTime until;
};

CertPtr begin_certificate(const Template& shape, EVP_PKEY* subject_key) {
  CertPtr certificate(X509_new());
  check(certificate != nullptr, "certificate");
  check(X509_set_version(certificate.get(), X509_VERSION_3) == 1, "version");
  // 127 random bits: positive, and unique without a counter shared by replicas.
  Bytes serial = random_bytes(16);
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);
  BIGNUM* number = BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get()));
  BN_free(number);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), to_unix_seconds(shape.from));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), to_unix_seconds(shape.until));
  X509_NAME* name = X509_get_subject_name(certificate.get());
  check(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(shape.common_name.data()),
                                   static_cast<int>(shape.common_name.size()), -1, 0) == 1,
        "subject");
  check(X509_set_pubkey(certificate.get(), subject_key) == 1, "public key");
  return certificate;
}

IssuedCertificate finish(CertPtr certificate, EVP_PKEY* signer) {
  check(X509_sign(certificate.get(), signer, EVP_sha256()) > 0, "sign certificate");
  IssuedCertificate issued;
  issued.pem = certificate_text(certificate.get());
  auto facts = net::parse_certificate_pem(issued.pem);
  if (!facts) throw std::runtime_error("a certificate we made: " + facts.error().text());
  issued.facts = std::move(*facts);
  return issued;
}

bool is_p256(EVP_PKEY* key) {
  char group[64] = {};
  std::size_t size = 0;
  return EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 &&
         std::string_view(group) == "prime256v1";
}

}  // namespace

Result<CertificateRequest> inspect_csr(std::string_view csr_pem) {
  // A P-256 request has under 1 KiB; 16 leave room for attributes that tools add.
  if (csr_pem.size() > 16 * 1024) return fail(Errc::too_large, "certificate request: over 16 KiB");
  const RequestPtr request = read_request(csr_pem);
  if (!request) {
    openssl_error();
    return fail(Errc::malformed, "not a PKCS#10 request in PEM form");
  }
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || !is_p256(key)) {
    openssl_error();
    return fail(Errc::unsupported, "the key of a node must be ECDSA P-256");
  }
  if (X509_REQ_verify(request.get(), key) != 1) {
    openssl_error();
    return fail(Errc::bad_signature, "the certificate request is not signed by its own key");
  }
  CertificateRequest out;
  out.public_key = public_key_der(key);
  out.fingerprint = sha256(ByteView(out.public_key));
  return out;
}

bool certificate_names(std::string_view pem, const std::string& name) {
  const CertPtr certificate = read_certificate(pem);
  if (!certificate) return false;
  if (net::is_ip_literal(name)) return X509_check_ip_asc(certificate.get(), name.c_str(), 0) == 1;
  return X509_check_host(certificate.get(), name.data(), name.size(), 0, nullptr) == 1;
}

CertificateAuthority CertificateAuthority::make(std::string_view common_name, SystemTime now) {
  CertificateAuthority authority;
  authority.key_pem_ = Secret(net::generate_p256_key_pem());
  const KeyPtr key = read_key(authority.key_pem_.text());
  check(key != nullptr, "authority key");
  // Ten years: replacing an authority means every pin and every agent; that is a planned ceremony.
  const Template shape{std::string(common_name), now - kBackdate,
                       now + std::chrono::hours(24 * 3650)};
  CertPtr certificate = begin_certificate(shape, key.get());
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  X509* self = certificate.get();
  add_extension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(self, self, NID_subject_key_identifier, "hash");
  IssuedCertificate issued = finish(std::move(certificate), key.get());
  authority.certificate_pem_ = std::move(issued.pem);
  authority.spki_sha256_ = issued.facts.spki_sha256;
  return authority;
}

Result<CertificateAuthority> CertificateAuthority::load(std::string certificate_pem,
                                                        Secret key_pem) {
  auto facts = net::parse_certificate_pem(certificate_pem);
  if (!facts) return fail(facts.error(), "authority certificate");
  const auto key_spki = net::key_spki_sha256(key_pem.text());
  if (!key_spki) return fail(key_spki.error(), "authority key");
  if (*key_spki != facts->spki_sha256) {
    return fail(Errc::mismatch, "the authority's key is not its certificate's");
  }
  CertificateAuthority authority;
  authority.certificate_pem_ = std::move(certificate_pem);
  authority.key_pem_ = std::move(key_pem);
  authority.spki_sha256_ = facts->spki_sha256;
  return authority;
}

IssuedCertificate CertificateAuthority::issue_server(std::string_view key_pem,
                                                     const std::vector<std::string>& names,
                                                     SystemTime now,
                                                     std::chrono::hours life) const {
  const KeyPtr signer = read_key(key_pem_.text());
  const KeyPtr subject = read_key(key_pem);
  const CertPtr issuer = read_certificate(certificate_pem_);
  check(signer && subject && issuer, "server certificate");
  const Template shape{"rap-control-plane", now - kBackdate, now + life};
  CertPtr certificate = begin_certificate(shape, subject.get());
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  X509* leaf = certificate.get();
  add_extension(leaf, issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(leaf, issuer.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(leaf, issuer.get(), NID_ext_key_usage, "serverAuth");
  add_extension(leaf, issuer.get(), NID_authority_key_identifier, "keyid:always");
  add_extension(leaf, issuer.get(), NID_subject_alt_name, alternatives(names).substr(1));
  return finish(std::move(certificate), signer.get());
}

IssuedCertificate CertificateAuthority::issue_node(std::string_view csr_pem,
                                                   std::string_view spiffe_uri,
                                                   SystemTime now) const {
  return issue_leaf(csr_pem, {std::string(spiffe_uri), {}, LeafNames::Use::server_and_client}, now);
}

IssuedCertificate CertificateAuthority::issue_leaf(std::string_view csr_pem, const LeafNames& names,
                                                   SystemTime now) const {
  const KeyPtr signer = read_key(key_pem_.text());
  const CertPtr issuer = read_certificate(certificate_pem_);
  const RequestPtr request = read_request(csr_pem);
  check(signer && issuer && request, "leaf certificate");
  const std::string& uri = names.uri;
  const Template shape{uri.substr(uri.rfind('/') + 1), now - kBackdate, now + kNodeCertificateLife};
  CertPtr certificate = begin_certificate(shape, X509_REQ_get0_pubkey(request.get()));
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  const bool both = names.use == LeafNames::Use::server_and_client;
  X509* leaf = certificate.get();
  add_extension(leaf, issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(leaf, issuer.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(leaf, issuer.get(), NID_ext_key_usage,
                both ? "serverAuth,clientAuth" : "serverAuth");
  add_extension(leaf, issuer.get(), NID_authority_key_identifier, "keyid:always");
  add_extension(leaf, issuer.get(), NID_subject_alt_name, "URI:" + uri + alternatives(names.hosts));
  return finish(std::move(certificate), signer.get());
}

}  // namespace rap::cp
