// Private to base/net: the parts of x509 that TLS shares.
#pragma once

#include <string_view>
#include <vector>

#include "base/net/openssl_ptr.hpp"
#include "base/net/x509.hpp"

namespace rap::net {

// At most kPemBytesMax; `malformed` when a block does not parse or there is none.
Result<std::vector<X509Ptr>> read_certificates(std::string_view pem);
Result<EvpKeyPtr> read_private_key(std::string_view pem);
CertificateFacts facts_of(X509* certificate);
Sha256Digest spki_sha256_of(X509* certificate);

X509StorePtr make_store(const std::vector<X509Ptr>& roots);

// As verify_chain() of x509.hpp. `x509_error` gets OpenSSL's code, from which it makes the alert.
Status verify_against(X509_STORE* store, X509* leaf, STACK_OF(X509) * untrusted, CertificateUse use,
                      std::int64_t now_s, int& x509_error);

}  // namespace rap::net
