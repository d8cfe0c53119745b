// Session leases: the right to open one stream to one node or service, once.
// docs/contracts/identity.md has the format.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/json/fwd.hpp>

#include "fabric/jws.hpp"

namespace rap::fabric {

inline constexpr std::int64_t kLeaseLifeMaxS = 30;  // exp - iat

enum class LeaseVerb { open, attach };
enum class LeaseMode { control, view };

struct LeaseClaims {
  std::string issuer;           // iss: cluster id
  std::string audience;         // aud: spiffe://<cluster>/node/<node>, ../service/<service>
  std::string user_id;          // sub
  std::string user_name;        // name
  std::string lease_id;         // jti; empty at minting: 128 fresh random bits
  std::int64_t issued_at = 0;   // iat, nbf (Unix seconds)
  std::int64_t expires_at = 0;  // exp
  std::string session_id;       // sid
  std::string organization_id;  // org
  std::string resource_id;      // res
  LeaseVerb verb = LeaseVerb::open;
  LeaseMode mode = LeaseMode::control;
  Sha256Digest client_certificate_sha256{};  // cnf.x5t#S256
};

// Object with the claims of the contract: what the IPC message `stream` carries.
boost::json::object lease_claims_to_json(const LeaseClaims& claims);
// `invalid` naming the member that is missing or wrong.
Result<LeaseClaims> lease_claims_from_json(const boost::json::object& object);

// Signs with a raw 32-byte Ed25519 private key. Fails with `invalid` (claims break the contract:
// life over 30 s, empty members), `too_large`.
Result<std::string> mint_lease(const LeaseClaims& claims, ByteView private_key_raw);

// Pure: reads no clock, file or network.
class LeaseVerifier {
 public:
  // `invalid` when a kid is not that of its key, two keys have one kid, audience or issuer is
  // empty. No keys: everything is refused.
  static Result<LeaseVerifier> create(std::string issuer, std::string audience,
                                      const std::vector<LeaseKey>& keys);

  // Checks in this order: size and shape (`too_large`, `malformed`), header (`unsupported`), key
  // (`unauthorized`), signature (`bad_signature`), then claims: `malformed`, `mismatch` (issuer,
  // audience, client certificate), `expired` (also: not yet valid). The payload is not parsed
  // before the signature holds.
  Result<LeaseClaims> verify(std::string_view jws, const Sha256Digest& client_certificate_sha256,
                             SystemTime now) const;

 private:
  std::string issuer_;
  std::string audience_;
  JwsKeys keys_;
};

// Remembers the ids of leases until they cannot be valid any more.
class LeaseReplayGuard {
 public:
  // 100,000 leases live at once are 3,000 streams a second: far above what a node opens.
  explicit LeaseReplayGuard(std::size_t entries_max = 100'000) : entries_max_(entries_max) {}

  // First time: success. Again: `conflict`. `exhausted` when full of live entries (refusing is
  // safe, forgetting is not).
  Status use(const LeaseClaims& claims, SystemTime now);
  std::size_t size() const { return used_.size(); }

 private:
  void forget_expired(std::int64_t now_s);

  std::size_t entries_max_;
  std::unordered_map<std::string, std::int64_t> used_;  // id -> forget after (Unix s)
  std::multimap<std::int64_t, std::string> by_expiry_;
};

}  // namespace rap::fabric
