// The issuing side of certificates: authorities, server certificates, node certificates.
// docs/contracts/identity.md says who signs what.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/net/x509.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace rap::cp {

// A node certificate lasts a day and is renewed at half life: a stolen one is worth little, and an
// outage of the control plane of half a day harms nobody.
inline constexpr std::chrono::hours kNodeCertificateLife{24};
// Certificates begin a little in the past, for nodes whose clock is behind.
inline constexpr std::chrono::minutes kBackdate{5};

struct IssuedCertificate {
  std::string pem;
  net::CertificateFacts facts;
};

// What a PKCS#10 request proves and asks.
struct CertificateRequest {
  Bytes public_key;            // SubjectPublicKeyInfo, DER
  Sha256Digest fingerprint{};  // SHA-256 of it
};

// Checks the request's self-signature (possession of the key) and that the key is ECDSA P-256.
// Names in the request are ignored: we decide what a certificate says. `malformed`,
// `bad_signature`, `unsupported`.
Result<CertificateRequest> inspect_csr(std::string_view csr_pem);

// Does the first certificate of `pem` carry this DNS name or address?
bool certificate_names(std::string_view pem, const std::string& name);

// What a leaf says it is: its URI, the hosts beside it, and on which side of TLS it stands.
struct LeafNames {
  std::string uri;
  std::vector<std::string> hosts = {};  // DNS names and addresses
  enum class Use { server, server_and_client } use = Use::server;
};

// A key pair that signs certificates.
class CertificateAuthority {
 public:
  // A new self-signed authority, for ten years.
  static CertificateAuthority make(std::string_view common_name, SystemTime now);
  // `malformed`; `mismatch` when the key is not the certificate's.
  static Result<CertificateAuthority> load(std::string certificate_pem, Secret key_pem);

  const std::string& certificate_pem() const { return certificate_pem_; }
  const Secret& key_pem() const { return key_pem_; }
  const Sha256Digest& spki_sha256() const { return spki_sha256_; }

  // For one host: `names` are DNS names and IP addresses.
  IssuedCertificate issue_server(std::string_view key_pem, const std::vector<std::string>& names,
                                 SystemTime now, std::chrono::hours life) const;
  // Over the key of `csr_pem`, which inspect_csr() accepted, with `spiffe_uri` as its only name.
  IssuedCertificate issue_node(std::string_view csr_pem, std::string_view spiffe_uri,
                               SystemTime now) const;
  // The same for any leaf of a day.
  IssuedCertificate issue_leaf(std::string_view csr_pem, const LeafNames& names,
                               SystemTime now) const;

 private:
  CertificateAuthority() = default;
  std::string certificate_pem_;
  Secret key_pem_;
  Sha256Digest spki_sha256_{};
};

}  // namespace rap::cp
