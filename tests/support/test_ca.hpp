// A certificate authority for tests. The product's own is controlplane/pki.
#pragma once

#include <chrono>
#include <string>

#include "base/net/x509.hpp"

namespace rap::test {

struct CertificateWish {
  std::string common_name = "test";
  std::string subject_alt_name;  // OpenSSL syntax: "DNS:localhost,IP:127.0.0.1", "URI:spiffe://.."
  std::chrono::seconds from{-300};  // from now
  std::chrono::seconds until{3600};
  bool client = true;
  bool server = true;
};

class TestCa {
 public:
  explicit TestCa(const std::string& common_name = "test CA");

  const std::string& pem() const { return pem_; }
  // The chain holds the leaf and this CA.
  net::TlsIdentity issue(const CertificateWish& wish) const;

 private:
  std::string pem_;
  std::string key_pem_;
};

}  // namespace rap::test
