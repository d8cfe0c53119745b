// The keys that act for a cluster: made with it, sealed in PostgreSQL, open in memory only.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/id.hpp"
#include "controlplane/db/sql.hpp"
#include "controlplane/pki/authority.hpp"
#include "controlplane/secrets/sealer.hpp"
#include "signing/sign/ed25519.hpp"

namespace rap::cp {

struct ClusterKeyset {
  CertificateAuthority ca;
  sign::Ed25519Key lease;
  sign::Ed25519Key director_root;
  sign::Ed25519Key director_targets;
  sign::Ed25519Key director_snapshot;
  sign::Ed25519Key director_timestamp;
};

// Any thread.
class ClusterKeys {
 public:
  explicit ClusterKeys(const Sealer& sealer) : sealer_(sealer) {}

  // Makes and stores the keys of a new cluster.
  void create(Tx& tx, const ClusterId& cluster, SystemTime now);
  // Kept in memory after the first use. Throws std::runtime_error when they do not open (another
  // key-encryption key), which is a fault of the installation.
  std::shared_ptr<const ClusterKeyset> get(Tx& tx, const ClusterId& cluster);

 private:
  const Sealer& sealer_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const ClusterKeyset>> open_;  // guarded by mutex_
};

// Certificates of all clusters' authorities: who may be a node.
std::string all_cluster_authorities(Tx& tx);

}  // namespace rap::cp
