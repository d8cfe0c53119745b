// Signed rights in the compact form of RFC 7515, Ed25519 only (RFC 8037): what the leases of
// fabric/lease.hpp and fabric/carry_lease.hpp share. The protected header has one possible text for
// each type and key, so there is no algorithm to choose and nothing of it to parse.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/result.hpp"

namespace rap::fabric {

inline constexpr std::size_t kLeaseBytesMax = 4096;
inline constexpr std::int64_t kLeaseClockSlackS = 5;  // clock difference tolerated

// First 16 hex digits of SHA-256 over the raw public key.
std::string lease_key_id(ByteView public_key_raw);
// The raw 32-byte public key of a raw 32-byte Ed25519 private key (seed).
Result<Bytes> lease_public_key(ByteView private_key_raw);

struct LeaseKey {
  std::string kid;
  Bytes public_key;  // 32 bytes raw Ed25519
};

// What kind of right: the `typ` of its header, so that one kind is never taken for another, and
// what errors call it. Static text.
struct JwsKind {
  std::string_view type;  // "rap-lease+jwt"
  std::string_view what;  // "lease"
};

// Signs with a raw 32-byte Ed25519 private key. `invalid` (the key), `too_large` (over 4 KiB).
Result<std::string> sign_jws(JwsKind kind, std::string_view payload, ByteView private_key_raw);

// Pure. The keys that a verifier takes signatures of.
class JwsKeys {
 public:
  // `invalid` when a kid is not that of its key or two keys have one kid. No keys: everything is
  // refused.
  static Result<JwsKeys> create(const std::vector<LeaseKey>& keys);

  // The payload, an object. Checks in this order: size and shape (`too_large`, `malformed`), header
  // (`unsupported`), key (`unauthorized`), signature (`bad_signature`), and only then parses.
  Result<boost::json::object> open(JwsKind kind, std::string_view jws) const;

 private:
  std::map<std::string, Bytes, std::less<>> keys_;
};

// Claims that all kinds have. Failures are `invalid` and name the claim.

// Longer than any id and name of ours; the whole lease has to fit 4 KiB.
inline constexpr std::size_t kClaimTextMax = 512;

struct ClaimTimes {
  std::int64_t issued_at = 0;  // iat, nbf (Unix seconds)
  std::int64_t expires_at = 0;
};
Result<ClaimTimes> read_claim_times(const boost::json::object& object);
// cnf.x5t#S256 (RFC 8705 section 3.1).
Result<Sha256Digest> read_confirmation(const boost::json::object& object);
boost::json::object confirmation_of(const Sha256Digest& certificate_sha256);

// Neither empty nor over kClaimTextMax.
Status check_claim_text(const std::string& text, std::string_view claim);
// A life of 1..life_max_s seconds.
Status check_claim_life(ClaimTimes times, std::int64_t life_max_s);
// `expired`: over, or not yet valid, by more than kLeaseClockSlackS.
Status check_claim_time(JwsKind kind, ClaimTimes times, SystemTime now);

}  // namespace rap::fabric
