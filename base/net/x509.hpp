// Keys, certificates and requests: made, read, checked. All of it is OpenSSL's.
// Issuing (the CA side) is controlplane/pki.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/result.hpp"

namespace rap::net {

// What a certificate says; facts, not a verdict.
struct CertificateFacts {
  Bytes der;
  Sha256Digest sha256{};       // of the DER: "x5t#S256"
  Sha256Digest spki_sha256{};  // of the SubjectPublicKeyInfo: what a pin compares
  std::string common_name;
  std::string spiffe_uri;              // the only URI when it begins with spiffe://; else empty
  std::vector<std::string> dns_names;  // subjectAltName
  std::string serial_hex;              // lower case, no leading zeros
  SystemTime not_before{};
  SystemTime not_after{};
  bool is_ca = false;
};

// The first certificate of a PEM text, at most 64 KiB. `malformed`, `too_large`.
Result<CertificateFacts> parse_certificate_pem(std::string_view pem);
Result<CertificateFacts> parse_certificate_der(ByteView der);
// Every certificate of a PEM text, at most 256 of them.
Result<std::vector<CertificateFacts>> parse_certificates_pem(std::string_view pem);
std::string certificate_der_to_pem(ByteView der);

// SHA-256 over the SubjectPublicKeyInfo of a key pair; also says whether a request, a certificate
// and a key belong together.
Result<Sha256Digest> key_spki_sha256(std::string_view key_pem);

// A new ECDSA P-256 private key, PKCS#8 PEM without passphrase: keep the file 0600.
std::string generate_p256_key_pem();

// PKCS#10 request over the key; `common_name` is informational. `malformed` key.
Result<std::string> make_csr_pem(std::string_view key_pem, std::string_view common_name);

struct TlsIdentity {
  std::string certificate_pem;  // leaf first, then the rest of the chain
  std::string key_pem;
};

// A fresh key with a self-signed client certificate, valid from 5 min ago for `valid_for`: what a
// client of a node presents. It proves nothing alone; a lease names its sha256.
TlsIdentity make_self_signed_identity(std::string_view common_name, std::chrono::seconds valid_for);

enum class CertificateUse { server, client };

// Checks that `leaf` chains to a CA of `ca_pem` (several allowed), with `intermediates`, for `use`
// at `now`. Fails with `expired` (which certificate, since when), `mismatch` ("not issued by ...":
// another cluster's), `unauthorized` (wrong use, broken signature, constraint), `malformed`.
Status verify_chain(ByteView leaf_der, const std::vector<Bytes>& intermediates_der,
                    std::string_view ca_pem, CertificateUse use, SystemTime now);

}  // namespace rap::net
