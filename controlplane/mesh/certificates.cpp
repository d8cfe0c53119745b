// POST /v1/node/certificates: keys of the node's mesh process (docs/decisions/0011).
#include <algorithm>
#include <set>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/clusters/keys.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/mesh/names.hpp"
#include "controlplane/mesh/rounds.hpp"
#include "controlplane/mesh/routes.hpp"
#include "fabric/mesh_names.hpp"

namespace rap::cp {
namespace {

constexpr std::size_t kCsrMax = 16 * 1024;
// Organizations that share one node: what a directory can say (docs/contracts/mesh-directory.md).
constexpr std::int64_t kServicesMax = 64;
// A node renews everything at half life. Room for a bad day, and an end for one that loops.
constexpr std::int64_t kPerHourMax = 300;
constexpr std::chrono::hours kCountedTime{1};

constexpr const char* kMeshNode = R"sql(
  insert into mesh_nodes (node_id, cluster_id) values ($1, $2)
  on conflict (node_id) do update set cluster_id = excluded.cluster_id
  returning issued_since, issued_count
)sql";
constexpr const char* kCount = R"sql(
  update mesh_nodes set issued_since = $2, issued_count = $3 where node_id = $1
)sql";
constexpr const char* kAssignments = R"sql(
  select role, organization_id, policy from node_role_assignments
  where cluster_id = $1 and node_id = $2 and status = 'active' order by id
)sql";
// A role without an organization serves every one that has something there to serve.
constexpr const char* kHasResources = R"sql(
  select 1 as one from resources
  where organization_id = $1 and cluster_id = $2 and deleted_at is null limit 1
)sql";
constexpr const char* kNodeKey =
    "select 1 as one from node_identities where fingerprint = $1 limit 1";
constexpr const char* kMeshKey = R"sql(
  select node_id, purpose, service_id from mesh_keys where spki_sha256 = $1
)sql";
constexpr const char* kService = R"sql(
  insert into mesh_services (id, cluster_id, node_id, organization_id) values ($1, $2, $3, $4)
  on conflict (cluster_id, node_id, organization_id) do update set node_id = excluded.node_id
  returning id
)sql";
constexpr const char* kStore = R"sql(
  insert into mesh_keys
    (spki_sha256, cluster_id, node_id, purpose, service_id, organization_id, certificate_serial,
     not_before, not_after, issued_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
  on conflict (spki_sha256) do update set
    certificate_serial = excluded.certificate_serial, not_before = excluded.not_before,
    not_after = excluded.not_after, issued_at = excluded.issued_at
  returning (xmax = 0) as fresh
)sql";
// The one in use and the next: a third key ends the oldest.
constexpr const char* kForgetThird = R"sql(
  delete from mesh_keys where spki_sha256 in (
    select spki_sha256 from mesh_keys
    where node_id = $1 and purpose = $2 and service_id is not distinct from $3
    order by issued_at desc, spki_sha256 offset 2)
)sql";

struct Wanted {
  std::string_view purpose;
  std::string csr_pem;
  LeafNames names;
  std::optional<std::string> organization, service;
};

struct Roles {
  bool entry = false;
  std::optional<Error> bad_entry;  // its configuration names no hosts
  std::vector<std::string> public_hosts;
  bool everybody = false;               // a service role without an organization
  std::set<std::string> organizations;  // of service roles
};

void add_hosts(const boost::json::object& policy, Roles& out) {
  const auto endpoints = public_endpoints(policy);
  if (!endpoints) {
    out.bad_entry = endpoints.error();
    return;
  }
  const auto hosts = certificate_hosts(*endpoints);
  if (!hosts) {
    out.bad_entry = hosts.error();
    return;
  }
  for (const std::string& host : *hosts) {
    const bool known = std::ranges::find(out.public_hosts, host) != out.public_hosts.end();
    if (!known) out.public_hosts.push_back(host);
  }
}

Roles roles_of(const Call& call, Tx& tx) {
  Roles out;
  for (const Row& row : tx.query(kAssignments, {call.node.cluster, call.node.id})) {
    const std::string role = row.text("role");
    if (role == "entry-node") {
      out.entry = true;
      add_hosts(row.json("policy").as_object(), out);
    } else if (const auto organization = row.text_or_none("organization_id")) {
      out.organizations.insert(*organization);
    } else if (role != "relay-node" && role != "core-mesh") {
      out.everybody = true;
    }
  }
  return out;
}

void count_certificates(const Call& call, Tx& tx, std::int64_t more) {
  const Row row = tx.query(kMeshNode, {call.node.id, call.node.cluster})[0];
  auto since = row.time_or_none("issued_since");
  std::int64_t count = row.integer("issued_count");
  if (!since || call.now - *since >= kCountedTime || *since > call.now) {
    since = call.now;
    count = 0;
  }
  if (count + more > kPerHourMax) {
    Problem problem(429, "exhausted", "more than 300 certificates of this node in an hour");
    problem.retry_after_s = 600;
    throw problem;
  }
  tx.query(kCount, {call.node.id, *since, count + more});
}

// Mesh, entry and services are told apart by their keys, and none of them is the node's own.
Status check_key(const Call& call, Tx& tx, const CertificateRequest& csr, const Wanted& wanted) {
  if (!tx.query(kNodeKey, {ByteView(csr.fingerprint)}).empty()) {
    return fail(Errc::conflict, "this is the key of a node certificate; make another one");
  }
  const Rows known = tx.query(kMeshKey, {ByteView(csr.fingerprint)});
  if (known.empty()) return {};
  const bool same = known[0].text("node_id") == call.node.id.str() &&
                    known[0].text("purpose") == wanted.purpose &&
                    known[0].text_or_none("service_id") == wanted.service;
  if (same) return {};
  return fail(Errc::conflict, "this key has a certificate for something else; make another one");
}

// What was issued, to be audited when everything is: the log's lock comes last.
struct Issued {
  boost::json::object answer, detail;
  bool fresh = false;  // a key that directories do not have yet
};

Result<Issued> issue(const Call& call, Tx& tx, const Wanted& wanted) {
  const auto csr = inspect_csr(wanted.csr_pem);
  if (!csr) return fail(csr.error());
  if (auto good = check_key(call, tx, *csr, wanted); !good) return fail(good.error());
  const auto keys = call.services->cluster_keys.get(tx, call.node.cluster);
  const IssuedCertificate issued = keys->ca.issue_leaf(wanted.csr_pem, wanted.names, call.now);
  const Rows stored =
      tx.query(kStore, {ByteView(csr->fingerprint), call.node.cluster, call.node.id, wanted.purpose,
                        wanted.service, wanted.organization, issued.facts.serial_hex,
                        issued.facts.not_before, issued.facts.not_after, call.now});
  tx.query(kForgetThird, {call.node.id, wanted.purpose, wanted.service});
  Issued out;
  out.fresh = stored[0].boolean("fresh");
  boost::json::object& detail = out.detail;
  detail["purpose"] = wanted.purpose;
  detail["serial"] = issued.facts.serial_hex;
  detail["fingerprint"] = to_hex(csr->fingerprint);
  detail["not_after"] = to_rfc3339(issued.facts.not_after);
  if (!wanted.names.hosts.empty()) {
    detail["hosts"] = boost::json::array(wanted.names.hosts.begin(), wanted.names.hosts.end());
  }
  if (wanted.organization) detail["organization_id"] = *wanted.organization;
  out.answer["spiffe_id"] = wanted.names.uri;
  out.answer["certificate_pem"] = issued.pem;
  out.answer["not_after"] = to_rfc3339(issued.facts.not_after);
  return out;
}

// What was asked for and cannot be given, beside what can: a role that was taken a moment ago must
// not keep a node from renewing the rest.
class Answer {
 public:
  Answer(const Call& call, Tx& tx) : call_(call), tx_(tx) {}

  std::optional<boost::json::object> add(const Wanted& wanted) {
    auto issued = issue(call_, tx_, wanted);
    if (!issued) {
      refuse(wanted.purpose, wanted.organization, issued.error());
      return std::nullopt;
    }
    fresh_ = fresh_ || issued->fresh;
    details_.push_back(std::move(issued->detail));
    return std::move(issued->answer);
  }
  // Who has to hear of it, and the log of the cluster; of no organization: who serves it is nothing
  // that it is told. The same key again changes no directory.
  void finish() {
    if (fresh_) mesh_changed(tx_, call_.node.cluster, Urgency::now, call_.now);
    for (const boost::json::object& detail : details_) {
      audit(tx_, Actor::of(call_.node), call_.node.cluster.str(),
            {"mesh.certificate_issued", call_.node.id.str()}, detail, call_.now);
    }
  }
  void refuse(std::string_view purpose, const std::optional<std::string>& organization,
              const Error& error) {
    boost::json::object item;
    item["purpose"] = purpose;
    item["organization_id"] = nullptr;
    if (organization) item["organization_id"] = *organization;
    item["code"] = name(error.code);
    item["detail"] = error.detail;
    refused.push_back(std::move(item));
  }

  boost::json::array refused;

 private:
  std::vector<boost::json::object> details_;
  bool fresh_ = false;
  const Call& call_;
  Tx& tx_;
};

Status may_serve(const Call& call, Tx& tx, const Roles& roles, const std::string& organization) {
  if (roles.organizations.contains(organization)) return {};
  if (roles.everybody && !tx.query(kHasResources, {organization, call.node.cluster}).empty()) {
    return {};
  }
  return fail(Errc::forbidden, "no role of this node serves this organization");
}

std::pair<std::string, std::string> service_request(const Call& call,
                                                    const boost::json::object& object) {
  const auto organization =
      OrganizationId::parse(json_string_or_none(object, "organization_id").value_or(""));
  if (!organization) call.bad_field("services", "has an organization_id that is none");
  auto csr = json_string_or_none(object, "csr_pem");
  if (!csr || csr->empty() || csr->size() > kCsrMax || object.size() != 2) {
    call.bad_field("services", "wants organization_id and csr_pem");
  }
  return {organization->str(), std::move(*csr)};
}

boost::json::array services(const Call& call, Tx& tx, const Roles& roles, Answer& answer) {
  boost::json::array out;
  std::set<std::string> seen;
  for (const auto& item : call.array("services")) {
    auto [organization, csr] = service_request(call, item.as_object());
    if (!seen.insert(organization).second) call.bad_field("services", "has an organization twice");
    if (auto good = may_serve(call, tx, roles, organization); !good) {
      answer.refuse("service", organization, good.error());
      continue;
    }
    const std::string service =
        tx.query(kService, {fresh_service_id(), call.node.cluster, call.node.id, organization})[0]
            .text("id");
    auto issued = answer.add({"service",
                              std::move(csr),
                              {fabric::service_spiffe(call.node.cluster.str(), service)},
                              organization,
                              service});
    if (!issued) continue;
    (*issued)["organization_id"] = organization;
    (*issued)["service_id"] = service;
    out.push_back(std::move(*issued));
  }
  return out;
}

Reply certificates(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  if (call.node.disabled)
    refuse(Errc::forbidden, "the node is disabled: it has no place in the mesh");
  const auto wanted = call.array("services").size() + (call.has("mesh_csr_pem") ? 1 : 0) +
                      (call.has("entry_csr_pem") ? 1 : 0);
  if (wanted == 0) call.bad_field("mesh_csr_pem", "or entry_csr_pem or services is required");
  count_certificates(call, tx, static_cast<std::int64_t>(wanted));
  const Roles roles = roles_of(call, tx);
  Answer answer(call, tx);
  boost::json::object body;
  body["mesh"] = nullptr;
  body["entry"] = nullptr;
  if (call.has("mesh_csr_pem")) {
    auto issued = answer.add({"mesh",
                              call.text("mesh_csr_pem"),
                              {fabric::mesh_spiffe(call.node.cluster.str(), call.node.id.str()),
                               {},
                               LeafNames::Use::server_and_client},
                              {},
                              {}});
    if (issued) body["mesh"] = std::move(*issued);
  }
  if (call.has("entry_csr_pem") && !roles.entry) {
    answer.refuse("entry", {}, {Errc::forbidden, "this node is no entry-node"});
  } else if (call.has("entry_csr_pem") && roles.bad_entry) {
    answer.refuse("entry", {}, *roles.bad_entry);
  } else if (call.has("entry_csr_pem")) {
    auto issued = answer.add({"entry",
                              call.text("entry_csr_pem"),
                              {fabric::entry_spiffe(call.node.cluster.str()), roles.public_hosts},
                              {},
                              {}});
    if (issued) body["entry"] = std::move(*issued);
  }
  body["services"] = services(call, tx, roles, answer);
  body["refused"] = std::move(answer.refused);
  body["cluster_ca_pem"] =
      call.services->cluster_keys.get(tx, call.node.cluster)->ca.certificate_pem();
  answer.finish();
  return json_reply(200, body);
}

}  // namespace

void add_mesh_certificate_routes(std::vector<Route>& routes) {
  Field mesh = lines_field("mesh_csr_pem", 1, kCsrMax);
  Field entry = lines_field("entry_csr_pem", 1, kCsrMax);
  mesh.need = entry.need = Need::optional;
  routes.push_back(
      Route{"POST",
            "/v1/node/certificates",
            Who::node,
            "Certificates of a day for the keys of the node's mesh process",
            {{200, "MeshCertificates"}, 429},
            certificates,
            {mesh, entry, {"services", FieldType::objects, Need::optional, 0, kServicesMax}}}
          .changing_trust());
}

}  // namespace rap::cp
