// The keys of the node's mesh process and their certificates, which the cluster CA gives for a day:
// one as a mesh node, one as an entry, one as a service for each organization
// (docs/contracts/mesh-control.md). Made and kept here, handed to the mesh. Nothing here reads a
// clock or talks to anybody.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace rap::agent {

enum class MeshPurpose { mesh, entry, service };
std::string_view name(MeshPurpose purpose);

// What a key is for; `organization` for a service only.
using MeshUse = std::pair<MeshPurpose, std::string>;

struct MeshKey {
  std::string key_pem;          // ECDSA P-256; made here
  std::string certificate_pem;  // empty until there is one
  std::string service_id;       // of a service with a certificate
};

// Why a certificate was not given; the others were.
struct MeshRefusal {
  std::string purpose, organization, code, detail;
};

class MeshKeys {
 public:
  // Services of one node, as many as its mesh takes (docs/contracts/mesh-streams.md).
  static constexpr std::size_t kServicesMax = 1'024;
  // Services of one request (contracts/openapi.json).
  static constexpr std::size_t kRequestServicesMax = 64;

  // `malformed` when the text is damaged.
  static Result<MeshKeys> parse(std::string_view text);
  std::string serialize() const;
  // 0600, replaced whole. A file that is not there is no keys.
  static Result<MeshKeys> read(const std::filesystem::path& path);
  Status write(const std::filesystem::path& path) const;

  // Makes keys for uses that have none and forgets those that are not wanted any more, which ends
  // their identity; true when anything changed. Of more than kServicesMax services the rest is
  // left.
  bool want(const std::set<MeshUse>& uses);
  const std::map<MeshUse, MeshKey>& all() const { return keys_; }

  // Those without a certificate; all when one is past half its life or not in force at `now`,
  // because they are renewed together.
  std::vector<MeshUse> due(SystemTime now) const;

  // Bodies of POST /v1/node/certificates for these uses, as many as it takes.
  Result<std::vector<boost::json::object>> requests(const std::vector<MeshUse>& uses) const;

  // Takes what an answer gives. A certificate counts when it is for the key of its use, names
  // what the answer says it does, in this cluster, and the CA signed it; one that does not is
  // `mismatch` and changes nothing of the others. Returns what was refused, by either side.
  Result<std::vector<MeshRefusal>> take(const boost::json::object& answer,
                                        const std::string& cluster_id, const std::string& node_id,
                                        const std::string& cluster_ca_pem, SystemTime now);

 private:
  std::map<MeshUse, MeshKey> keys_;
};

// What is handed to the mesh: whoever has a certificate is one of its identities.
struct MeshHand {
  MeshKeys keys;
  std::string cluster_ca_pem;
};
// Owners: whoever hands it on.
using MeshHandPtr = std::shared_ptr<const MeshHand>;

}  // namespace rap::agent
