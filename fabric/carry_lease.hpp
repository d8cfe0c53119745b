// Carry leases: the right to have streams of one client carried through the mesh to one service.
// docs/contracts/mesh-streams.md has the format. What the streams may do there, session leases say.
#pragma once

#include "fabric/jws.hpp"
#include "fabric/mesh_names.hpp"
#include "fabric/routing/types.hpp"

namespace rap::fabric {

// A working day: paths are replaced with the control plane away for as long. What ends a stream
// sooner is not the lease but the directory of nodes and the service, which hear of revocations.
inline constexpr std::int64_t kCarryLifeMaxS = 12 * 3600;

enum class CarryVerb {
  carry,
  trace,  // the platform's owner, to synthetic.echo of a node, with rap-hops in the answer
};

struct CarryClaims {
  std::string issuer;           // iss: cluster id
  MeshTarget target;            // aud; a node only with `trace`
  std::string user_id;          // sub
  std::string organization_id;  // org; empty: the platform's own, only with `trace`
  std::string session_id;       // sid; empty with `trace`, and only with it
  std::int64_t issued_at = 0;   // iat, nbf (Unix seconds)
  std::int64_t expires_at = 0;  // exp
  CarryVerb verb = CarryVerb::carry;
  bool bulk = false;                         // classes: interactive always, bulk too
  Sha256Digest client_certificate_sha256{};  // cnf.x5t#S256

  bool allows(routing::ChannelClass channel_class) const {
    return bulk || channel_class == routing::ChannelClass::interactive;
  }
};

boost::json::object carry_claims_to_json(const CarryClaims& claims);
// `invalid` naming the member that is missing or wrong.
Result<CarryClaims> carry_claims_from_json(const boost::json::object& object);

// Signs with a raw 32-byte Ed25519 private key, one of those that sign session leases. Fails with
// `invalid` (claims break the contract), `too_large`.
Result<std::string> mint_carry_lease(const CarryClaims& claims, ByteView private_key_raw);

// What a lease is presented for.
struct CarryUse {
  MeshTarget target;  // of the request's authority
  routing::ChannelClass channel_class = routing::ChannelClass::interactive;
  // The entry, which sees the client: SHA-256 of its certificate. A relay does not see it.
  const Sha256Digest* client_certificate = nullptr;
};

// Pure: reads no clock, file or network. Entries and relays use the same.
class CarryVerifier {
 public:
  // `invalid` when a kid is not that of its key, two keys have one kid, or the issuer is empty. No
  // keys: everything is refused.
  static Result<CarryVerifier> create(std::string issuer, const std::vector<LeaseKey>& keys);

  // Fails as JwsKeys::open, then with `malformed` (claims), `mismatch` (issuer, target, client
  // certificate), `expired` (also: not yet valid), `forbidden` (the class).
  Result<CarryClaims> verify(std::string_view jws, const CarryUse& use, SystemTime now) const;

 private:
  std::string issuer_;
  JwsKeys keys_;
};

}  // namespace rap::fabric
