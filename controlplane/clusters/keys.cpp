#include "controlplane/clusters/keys.hpp"

#include <stdexcept>

#include "base/crypto.hpp"
#include "signing/sign/director.hpp"

namespace rap::cp {
namespace {

constexpr const char* kStore = R"sql(
  insert into cluster_keys (cluster_id, purpose, public_key, sealed_private, certificate_pem)
  values ($1, $2, $3, $4, $5)
)sql";
constexpr const char* kLoad = R"sql(
  select purpose, sealed_private, certificate_pem from cluster_keys where cluster_id = $1
)sql";
constexpr const char* kStoreRoot =
    "insert into cluster_director_roots (cluster_id, version, document) values ($1, 1, $2)";
constexpr const char* kAuthorities =
    "select certificate_pem from cluster_keys where purpose = 'ca' order by cluster_id";

// updates.md 4.2: D root lives a year. Nothing makes a new one yet: docs/running.md says what then.
constexpr std::chrono::hours kDirectorRootLife{24 * 365};

std::string context(const ClusterId& cluster, std::string_view purpose) {
  return "cluster-key|" + cluster.str() + "|" + std::string(purpose);
}

[[noreturn]] void broken(const ClusterId& cluster, std::string_view what) {
  throw std::runtime_error("keys of cluster " + cluster.str() + ": " + std::string(what));
}

template <typename T>
T must(Result<T> result, const ClusterId& cluster) {
  if (!result) broken(cluster, result.error().text());
  return std::move(*result);
}

}  // namespace

void ClusterKeys::create(Tx& tx, const ClusterId& cluster, SystemTime now) {
  const auto ca = CertificateAuthority::make("RAP cluster " + cluster.str(), now);
  tx.query(kStore,
           {cluster, "ca", ByteView(ca.spki_sha256()),
            sealer_.seal(ca.key_pem().bytes(), context(cluster, "ca")), ca.certificate_pem()});
  const auto make = [&](std::string_view purpose) {
    auto key = sign::Ed25519Key::generate();
    tx.query(kStore, {cluster, purpose, key.public_raw(),
                      sealer_.seal(key.seed().bytes(), context(cluster, purpose)), std::nullopt});
    return key;
  };
  make("lease");
  const auto root = make("director-root");
  const auto targets = make("director-targets");
  const auto snapshot = make("director-snapshot");
  const auto timestamp = make("director-timestamp");
  const sign::DirectorKeys keys{&targets, &snapshot, &timestamp};
  tx.query(kStoreRoot,
           {cluster,
            must(sign::make_root(cluster, {&root}, 1, keys, now + kDirectorRootLife), cluster)});
}

std::shared_ptr<const ClusterKeyset> ClusterKeys::get(Tx& tx, const ClusterId& cluster) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = open_.find(cluster.str()); it != open_.end()) return it->second;
  }
  std::map<std::string, Secret> secrets;
  std::string ca_pem;
  for (const Row& row : tx.query(kLoad, {cluster})) {
    const std::string purpose = row.text("purpose");
    secrets[purpose] =
        must(sealer_.open(row.bytes("sealed_private"), context(cluster, purpose)), cluster);
    if (purpose == "ca") ca_pem = row.text("certificate_pem");
  }
  if (secrets.empty()) broken(cluster, "missing");
  const auto key = [&](const char* purpose) {
    return must(sign::Ed25519Key::from_seed(secrets[purpose].bytes()), cluster);
  };
  auto set = std::make_shared<const ClusterKeyset>(
      ClusterKeyset{must(CertificateAuthority::load(ca_pem, std::move(secrets["ca"])), cluster),
                    key("lease"), key("director-root"), key("director-targets"),
                    key("director-snapshot"), key("director-timestamp")});
  const std::lock_guard lock(mutex_);
  return open_.emplace(cluster.str(), std::move(set)).first->second;
}

std::string all_cluster_authorities(Tx& tx) {
  std::string all;
  for (const Row& row : tx.query(kAuthorities)) all += row.text("certificate_pem");
  return all;
}

}  // namespace rap::cp
