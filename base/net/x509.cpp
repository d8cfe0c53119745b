#include "base/net/x509.hpp"

#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <cctype>
#include <ctime>

#include "base/net/x509_internal.hpp"

namespace rap::net {

namespace {

// 256 CAs of 1 KiB with room; a bundle of more is a mistake.
constexpr std::size_t kPemBytesMax = 1024 * 1024;
constexpr std::size_t kCertificatesMax = 256;
// leaf, two intermediates, root: longer chains are not ours.
constexpr int kChainDepthMax = 4;

[[noreturn]] void throw_openssl(std::string_view what) {
  throw std::runtime_error(std::string(what) + ": " + openssl_error());
}

BioPtr bio_of(std::string_view text) {
  BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) throw_openssl("memory");
  return bio;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

// A key is asked for no passphrase, instead of on the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

SystemTime time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return from_unix_seconds(::timegm(&parts));
}

std::string string_of(const ASN1_STRING* value) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                     static_cast<std::size_t>(ASN1_STRING_length(value)));
}

std::string common_name_of(const X509_NAME* name) {
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return {};
  return string_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

void read_alternative_names(X509* certificate, CertificateFacts& out) {
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  if (names == nullptr) return;
  int uris = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) out.dns_names.push_back(string_of(name->d.dNSName));
    if (name->type == GEN_URI) {
      ++uris;
      out.spiffe_uri = string_of(name->d.uniformResourceIdentifier);
    }
  }
  GENERAL_NAMES_free(names);
  // Two URIs would mean two identities (SPIFFE X509-SVID section 2): then none counts.
  if (uris != 1 || !out.spiffe_uri.starts_with("spiffe://") ||
      out.spiffe_uri.find('\0') != std::string::npos) {
    out.spiffe_uri.clear();
  }
}

std::string openssl_time_text(const ASN1_TIME* time) {
  return to_rfc3339(time_of(time));
}

Error chain_error(int code, X509* at) {
  const std::string whose =
      at == nullptr ? "the certificate"
                    : "the certificate of \"" + common_name_of(X509_get_subject_name(at)) + "\"";
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return {Errc::expired, whose + " expired at " + openssl_time_text(X509_get0_notAfter(at)) +
                                 "; renew it, or check this machine's clock"};
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return {Errc::expired, whose + " is valid only from " +
                                 openssl_time_text(X509_get0_notBefore(at)) +
                                 "; check this machine's clock"};
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    // Two clusters' CAs may carry one name; then only the signature tells them apart.
    case X509_V_ERR_CERT_SIGNATURE_FAILURE: {
      std::string issuer = at == nullptr ? "" : common_name_of(X509_get_issuer_name(at));
      return {Errc::mismatch, whose + " was issued by \"" + issuer +
                                  "\", which is not the expected authority: a certificate of "
                                  "another cluster or installation"};
    }
    default:
      return {Errc::unauthorized, whose + ": " + X509_verify_cert_error_string(code)};
  }
}

void add_extension(X509* certificate, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  if (extension == nullptr || X509_add_ext(certificate, extension, -1) != 1) {
    X509_EXTENSION_free(extension);
    throw_openssl("extension");
  }
  X509_EXTENSION_free(extension);
}

EvpKeyPtr generate_p256() {
  EvpKeyPtr key(EVP_EC_gen("P-256"));
  if (!key) throw_openssl("P-256 key");
  return key;
}

std::string key_pem_of(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_secmem()));
  if (!bio ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    throw_openssl("key to PEM");
  }
  return text_of(bio.get());
}

std::string certificate_pem_of(X509* certificate) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1) throw_openssl("certificate to PEM");
  return text_of(bio.get());
}

void add_common_name(X509_NAME* name, std::string_view common_name) {
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) != 1) {
    throw_openssl("common name");
  }
}

Result<X509Ptr> certificate_from_der(ByteView der) {
  const unsigned char* at = der.data();
  X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!certificate || at != der.data() + der.size()) {
    openssl_error();
    return fail(Errc::malformed, "not a DER certificate");
  }
  return certificate;
}

}  // namespace

Result<std::vector<X509Ptr>> read_certificates(std::string_view pem) {
  if (pem.size() > kPemBytesMax) return fail(Errc::too_large, "certificates: over 1 MiB of PEM");
  const BioPtr bio = bio_of(pem);
  std::vector<X509Ptr> out;
  for (;;) {
    X509Ptr one(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
    if (!one) break;
    if (out.size() == kCertificatesMax) {
      return fail(Errc::too_large, "certificates: over 256 in one PEM text");
    }
    out.push_back(std::move(one));
  }
  const unsigned long error = ERR_peek_last_error();
  const bool at_end = ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  openssl_error();
  if (!at_end || out.empty()) return fail(Errc::malformed, "not a PEM certificate");
  return out;
}

Result<EvpKeyPtr> read_private_key(std::string_view pem) {
  if (pem.size() > kPemBytesMax) return fail(Errc::too_large, "private key: over 1 MiB of PEM");
  const BioPtr bio = bio_of(pem);
  EvpKeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (!key) {
    openssl_error();
    return fail(Errc::malformed, "not a PEM private key without passphrase");
  }
  return key;
}

Sha256Digest spki_sha256_of(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) throw_openssl("public key");
  const auto digest = sha256(ByteView(der, static_cast<std::size_t>(size)));
  OPENSSL_free(der);
  return digest;
}

CertificateFacts facts_of(X509* certificate) {
  CertificateFacts out;
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size <= 0) throw_openssl("certificate");
  out.der.assign(der, der + size);
  OPENSSL_free(der);
  out.sha256 = sha256(ByteView(out.der));
  out.spki_sha256 = spki_sha256_of(certificate);
  out.common_name = common_name_of(X509_get_subject_name(certificate));
  read_alternative_names(certificate, out);
  BIGNUM* serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
  char* hex = serial == nullptr ? nullptr : BN_bn2hex(serial);
  if (hex != nullptr) out.serial_hex = hex;
  OPENSSL_free(hex);
  BN_free(serial);
  for (char& c : out.serial_hex) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto first = out.serial_hex.find_first_not_of('0');
  out.serial_hex.erase(0, first == std::string::npos ? out.serial_hex.size() : first);
  out.not_before = time_of(X509_get0_notBefore(certificate));
  out.not_after = time_of(X509_get0_notAfter(certificate));
  out.is_ca = X509_check_ca(certificate) > 0;
  openssl_error();
  return out;
}

X509StorePtr make_store(const std::vector<X509Ptr>& roots) {
  X509StorePtr store(X509_STORE_new());
  if (!store) throw_openssl("store");
  for (const X509Ptr& root : roots) X509_STORE_add_cert(store.get(), root.get());
  openssl_error();  // a CA named twice is fine
  return store;
}

Status verify_against(X509_STORE* store, X509* leaf, STACK_OF(X509) * untrusted, CertificateUse use,
                      std::int64_t now_s, int& x509_error) {
  X509StoreCtxPtr context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), store, leaf, untrusted) != 1) {
    throw_openssl("verification");
  }
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_purpose(parameters, use == CertificateUse::server
                                                ? X509_PURPOSE_SSL_SERVER
                                                : X509_PURPOSE_SSL_CLIENT);
  X509_VERIFY_PARAM_set_depth(parameters, kChainDepthMax);
  X509_VERIFY_PARAM_set_time(parameters, static_cast<time_t>(now_s));
  if (X509_verify_cert(context.get()) == 1) {
    x509_error = X509_V_OK;
    return {};
  }
  x509_error = X509_STORE_CTX_get_error(context.get());
  Error error = chain_error(x509_error, X509_STORE_CTX_get_current_cert(context.get()));
  openssl_error();
  return fail(std::move(error));
}

Result<CertificateFacts> parse_certificate_pem(std::string_view pem) {
  auto all = read_certificates(pem);
  if (!all) return fail(all.error());
  return facts_of(all->front().get());
}

Result<std::vector<CertificateFacts>> parse_certificates_pem(std::string_view pem) {
  auto all = read_certificates(pem);
  if (!all) return fail(all.error());
  std::vector<CertificateFacts> out;
  for (const X509Ptr& one : *all) out.push_back(facts_of(one.get()));
  return out;
}

Result<CertificateFacts> parse_certificate_der(ByteView der) {
  auto certificate = certificate_from_der(der);
  if (!certificate) return fail(certificate.error());
  return facts_of(certificate->get());
}

std::string certificate_der_to_pem(ByteView der) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio ||
      PEM_write_bio(bio.get(), "CERTIFICATE", "", der.data(), static_cast<long>(der.size())) <= 0) {
    throw_openssl("certificate to PEM");
  }
  return text_of(bio.get());
}

Result<Sha256Digest> key_spki_sha256(std::string_view key_pem) {
  auto key = read_private_key(key_pem);
  if (!key) return fail(key.error());
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key->get(), &der);
  if (size <= 0) return fail(Errc::malformed, "key: " + openssl_error());
  const auto digest = sha256(ByteView(der, static_cast<std::size_t>(size)));
  OPENSSL_free(der);
  return digest;
}

std::string generate_p256_key_pem() {
  return key_pem_of(generate_p256().get());
}

Result<std::string> make_csr_pem(std::string_view key_pem, std::string_view common_name) {
  auto key = read_private_key(key_pem);
  if (!key) return fail(key.error());
  X509ReqPtr request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1) {
    throw_openssl("request");
  }
  if (!common_name.empty()) {
    add_common_name(X509_REQ_get_subject_name(request.get()), common_name);
  }
  if (X509_REQ_set_pubkey(request.get(), key->get()) != 1 ||
      X509_REQ_sign(request.get(), key->get(), EVP_sha256()) <= 0) {
    return fail(Errc::invalid, "request: " + openssl_error());
  }
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) {
    throw_openssl("request to PEM");
  }
  return text_of(bio.get());
}

TlsIdentity make_self_signed_identity(std::string_view common_name,
                                      std::chrono::seconds valid_for) {
  const EvpKeyPtr key = generate_p256();
  X509Ptr certificate(X509_new());
  if (!certificate) throw_openssl("certificate");
  X509* c = certificate.get();
  X509_set_version(c, X509_VERSION_3);
  Bytes serial = random_bytes(16);
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);
  BIGNUM* number = BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(c));
  BN_free(number);
  // Five minutes back: the other side's clock may be behind.
  X509_gmtime_adj(X509_getm_notBefore(c), -300);
  X509_gmtime_adj(X509_getm_notAfter(c), static_cast<long>(valid_for.count()));
  add_common_name(X509_get_subject_name(c), common_name);
  X509_set_issuer_name(c, X509_get_subject_name(c));
  X509_set_pubkey(c, key.get());
  add_extension(c, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(c, NID_key_usage, "critical,digitalSignature");
  add_extension(c, NID_ext_key_usage, "clientAuth");
  if (X509_sign(c, key.get(), EVP_sha256()) <= 0) throw_openssl("sign");
  return TlsIdentity{certificate_pem_of(c), key_pem_of(key.get())};
}

Status verify_chain(ByteView leaf_der, const std::vector<Bytes>& intermediates_der,
                    std::string_view ca_pem, CertificateUse use, SystemTime now) {
  auto leaf = certificate_from_der(leaf_der);
  if (!leaf) return fail(leaf.error());
  auto roots = read_certificates(ca_pem);
  if (!roots) return fail(roots.error(), "authority");
  STACK_OF(X509)* untrusted = sk_X509_new_null();
  std::vector<X509Ptr> owners;
  Status status;
  for (const Bytes& der : intermediates_der) {
    auto one = certificate_from_der(der);
    if (!one) {
      status = fail(one.error());
      break;
    }
    sk_X509_push(untrusted, one->get());
    owners.push_back(std::move(*one));
  }
  if (status) {
    const X509StorePtr store = make_store(*roots);
    int ignored = 0;
    status =
        verify_against(store.get(), leaf->get(), untrusted, use, to_unix_seconds(now), ignored);
  }
  sk_X509_free(untrusted);
  return status;
}

}  // namespace rap::net
