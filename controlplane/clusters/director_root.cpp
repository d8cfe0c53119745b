#include "controlplane/clusters/director_root.hpp"

#include <stdexcept>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/clusters/routes.hpp"
#include "signing/sign/countersign.hpp"

namespace rap::cp {
namespace {

constexpr const char* kExists = "select 1 as one from clusters where id = $1";
constexpr const char* kDocument = R"sql(
  select document from cluster_director_roots where cluster_id = $1 and version = 1
)sql";
constexpr const char* kLock = R"sql(
  select document from cluster_director_roots where cluster_id = $1 and version = 1 for update
)sql";
constexpr const char* kStore = R"sql(
  update cluster_director_roots set document = $2 where cluster_id = $1 and version = 1
)sql";
constexpr const char* kReleaseTargets = "select targets from release_delegations";

constexpr std::string_view kWhatToDo =
    "rapctl cluster root export, rap-sign sign with keys of `trust`, rapctl cluster root import";

// R's delegations, or nothing before Version Storage was read.
std::optional<tuf::Targets> release_targets(Tx& tx) {
  const Rows rows = tx.query(kReleaseTargets);
  if (rows.empty()) return std::nullopt;
  auto document = tuf::parse_targets(as_bytes(rows[0].text("targets")));
  if (!document) throw std::runtime_error("release_delegations: " + document.error().text());
  return std::move(document->role);
}

// Roots that were made before they named their cluster cannot be vouched for: what a holder signs
// must say which cluster it is.
tuf::Document<tuf::Root> parsed(const std::string& document) {
  auto root = tuf::parse_director_root(as_bytes(document));
  if (!root) {
    refuse(Errc::conflict, root.error().detail +
                               ": the cluster goes on with the nodes it has; for "
                               "new ones make a new cluster");
  }
  return std::move(*root);
}

Reply reply(Tx& tx, const ClusterId& cluster, const std::string& document) {
  const auto root = parsed(document);
  boost::json::object body;
  body["cluster_id"] = cluster.str();
  body["version"] = root.role.version;
  body["signed_sha256"] = to_hex(sha256(root.proof.canonical));
  body["trust"] = "unknown";
  body["signatures"] = 0;
  body["threshold"] = nullptr;
  if (const auto release = release_targets(tx)) {
    if (const auto count = tuf::count_countersignatures(root.proof, *release)) {
      body["trust"] = count->enough() ? "complete" : "missing";
      body["signatures"] = count->key_ids.size();
      body["threshold"] = count->threshold;
    }
  }
  body["document"] = boost::json::parse(document);
  return json_reply(200, body);
}

Reply get(const Call& call, Tx& tx) {
  const auto cluster = call.path_id<ClusterId>("id");
  if (tx.query(kExists, {cluster}).empty()) refuse_not_found();
  return reply(tx, cluster, director_root(tx, cluster));
}

// Answers the same when the signatures are there already; only what is new is audited.
Reply add_signatures(const Call& call, Tx& tx) {
  const auto cluster = call.path_id<ClusterId>("id");
  const Rows rows = tx.query(kLock, {cluster});
  if (rows.empty()) refuse_not_found();
  const std::string stored = rows[0].text("document");
  const std::string sha256_hex = to_hex(sha256(parsed(stored).proof.canonical));
  const auto release = release_targets(tx);
  if (!release) {
    refuse(Errc::conflict, "whose signatures count is not known before rapctl release sync");
  }
  const std::string offered = boost::json::serialize(call.object("document"));
  auto merged = sign::add_countersignatures(stored, as_bytes(offered), *release);
  if (!merged && merged.error().code == Errc::not_found) {
    refuse(Errc::conflict,
           merged.error().detail + ": rap-sign delegate trust, then rapctl release sync");
  }
  if (!merged) throw Problem(422, std::string(name(merged.error().code)), merged.error().detail);
  if (merged->document != stored) {
    tx.query(kStore, {cluster, merged->document});
    boost::json::object detail;
    detail["signed_sha256"] = sha256_hex;
    detail["trust_keys"] = boost::json::value_from(merged->count.key_ids);
    detail["threshold"] = merged->count.threshold;
    audit(tx, Actor::of(call.person), cluster.str(), {"cluster.root_countersigned", cluster.str()},
          detail, call.now);
  }
  return reply(tx, cluster, merged->document);
}

}  // namespace

std::string director_root(Tx& tx, const ClusterId& cluster) {
  const Rows rows = tx.query(kDocument, {cluster});
  if (rows.empty()) throw std::runtime_error("director root of " + cluster.str() + ": missing");
  return rows[0].text("document");
}

void require_countersigned(Tx& tx, const ClusterId& cluster) {
  const auto release = release_targets(tx);
  if (!release) return;
  const std::string document = director_root(tx, cluster);
  parsed(document);
  const auto checked = tuf::check_countersigned_root(as_bytes(document), cluster.str(), *release);
  if (checked) return;
  refuse(Errc::conflict, "nodes would refuse this cluster: " + checked.error().detail +
                             ". First: " + std::string(kWhatToDo));
}

void add_director_root_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/clusters/{id}/director-root",
                    Who::owner,
                    "The first root of the cluster's director",
                    {{200, "DirectorRoot"}, 404, 409},
                    get});
  routes.push_back(Route{"POST",
                         "/v1/clusters/{id}/director-root/signatures",
                         Who::owner,
                         "Add signatures of the release repository's role trust",
                         {{200, "DirectorRoot"}, 404, 409, 422},
                         add_signatures,
                         {{"document", FieldType::object}}}
                       .changing_trust());
}

}  // namespace rap::cp
