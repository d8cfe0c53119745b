#include "tests/support/test_ca.hpp"

#include <openssl/pem.h>

#include <stdexcept>

#include "base/crypto.hpp"
#include "base/net/openssl_ptr.hpp"

namespace rap::test {

namespace {

using namespace rap::net;

EvpKeyPtr key_of(const std::string& pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return EvpKeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

X509Ptr certificate_of(const std::string& pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

std::string pem_of(X509* certificate) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) throw std::runtime_error("extension: " + openssl_error());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

X509Ptr begin(const std::string& common_name, EVP_PKEY* key, std::chrono::seconds from,
              std::chrono::seconds until) {
  X509Ptr c(X509_new());
  X509_set_version(c.get(), X509_VERSION_3);
  Bytes serial = random_bytes(8);
  serial[0] = 0x41;
  BIGNUM* number = BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(c.get()));
  BN_free(number);
  X509_gmtime_adj(X509_getm_notBefore(c.get()), from.count());
  X509_gmtime_adj(X509_getm_notAfter(c.get()), until.count());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(c.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509_set_pubkey(c.get(), key);
  return c;
}

}  // namespace

TestCa::TestCa(const std::string& common_name) : key_pem_(generate_p256_key_pem()) {
  const EvpKeyPtr key = key_of(key_pem_);
  const std::chrono::hours year(24 * 365);
  X509Ptr c = begin(common_name, key.get(), -year, year);
  X509_set_issuer_name(c.get(), X509_get_subject_name(c.get()));
  extend(c.get(), c.get(), NID_basic_constraints, "critical,CA:TRUE");
  extend(c.get(), c.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(c.get(), c.get(), NID_subject_key_identifier, "hash");
  X509_sign(c.get(), key.get(), EVP_sha256());
  pem_ = pem_of(c.get());
}

TlsIdentity TestCa::issue(const CertificateWish& wish) const {
  TlsIdentity out;
  out.key_pem = generate_p256_key_pem();
  const EvpKeyPtr key = key_of(out.key_pem);
  const EvpKeyPtr ca_key = key_of(key_pem_);
  const X509Ptr ca = certificate_of(pem_);
  X509Ptr c = begin(wish.common_name, key.get(), wish.from, wish.until);
  X509_set_issuer_name(c.get(), X509_get_subject_name(ca.get()));
  extend(c.get(), ca.get(), NID_basic_constraints, "critical,CA:FALSE");
  extend(c.get(), ca.get(), NID_key_usage, "critical,digitalSignature");
  std::string use;
  if (wish.client) use = "clientAuth";
  if (wish.server) use += use.empty() ? "serverAuth" : ",serverAuth";
  if (!use.empty()) extend(c.get(), ca.get(), NID_ext_key_usage, use);
  if (!wish.subject_alt_name.empty()) {
    extend(c.get(), ca.get(), NID_subject_alt_name, wish.subject_alt_name);
  }
  extend(c.get(), ca.get(), NID_authority_key_identifier, "keyid:always");
  X509_sign(c.get(), ca_key.get(), EVP_sha256());
  out.certificate_pem = pem_of(c.get()) + pem_;
  return out;
}

}  // namespace rap::test
