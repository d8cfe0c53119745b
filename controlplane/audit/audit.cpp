#include "controlplane/audit/audit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "controlplane/audit/chain.hpp"
#include "controlplane/db/database.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/http/shapes.hpp"

namespace rap::cp {
namespace {

// Makes the chain's head when it is the first event, and locks it.
constexpr const char* kLockHead = R"sql(
  insert into audit_chains (chain_id, seq, hash) values ($1, 0, $2)
  on conflict (chain_id) do update set chain_id = excluded.chain_id
  returning seq, hash
)sql";

constexpr const char* kHead = "select seq, hash from audit_chains where chain_id = $1";

constexpr const char* kMoveHead = "update audit_chains set seq = $2, hash = $3 where chain_id = $1";

constexpr const char* kAppend = R"sql(
  insert into cluster_audit_events
    (chain_id, seq, event_id, at, authority_term, actor_kind, actor_id, actor_name, kind, subject,
     organization_id, detail, previous_hash, hash)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, nullif($11, ''), $12, $13, $14)
)sql";

constexpr const char* kTerm = "select term from authority";

constexpr const char* kOfChain = R"sql(
  select chain_id, seq, event_id, at, authority_term, actor_kind, actor_id, actor_name, kind,
         subject, organization_id, detail, previous_hash, hash
  from cluster_audit_events where chain_id = $1 and seq > $2 order by seq limit $3
)sql";

constexpr const char* kOfChainUpTo = R"sql(
  select chain_id, seq, event_id, at, authority_term, actor_kind, actor_id, actor_name, kind,
         subject, organization_id, detail, previous_hash, hash
  from cluster_audit_events where chain_id = $1 and seq > $2 and seq <= $3 order by seq limit $4
)sql";

constexpr const char* kOfOrganization = R"sql(
  select chain_id, seq, event_id, at, authority_term, actor_kind, actor_id, actor_name, kind,
         subject, organization_id, detail, previous_hash, hash
  from cluster_audit_events where organization_id = $1 and event_id > $2 order by event_id limit $3
)sql";

constexpr const char* kNewestOfChain = R"sql(
  select chain_id, seq, event_id, at, authority_term, actor_kind, actor_id, actor_name, kind,
         subject, organization_id, detail, previous_hash, hash
  from cluster_audit_events where chain_id = $1 and seq < $2 order by seq desc limit $3
)sql";

constexpr const char* kNewestOfOrganization = R"sql(
  select chain_id, seq, event_id, at, authority_term, actor_kind, actor_id, actor_name, kind,
         subject, organization_id, detail, previous_hash, hash
  from cluster_audit_events where organization_id = $1 and ($2 = '' or event_id < $2)
  order by event_id desc limit $3
)sql";

constexpr const char* kClusterExists = "select 1 as one from clusters where id = $1";

AuditRecord record_of(const Row& row) {
  AuditRecord r;
  r.chain_id = row.text("chain_id");
  r.seq = row.integer("seq");
  r.event_id = row.text("event_id");
  r.at = row.time("at");
  r.authority_term = row.integer("authority_term");
  r.actor_kind = row.text("actor_kind");
  r.actor_id = row.text("actor_id");
  r.actor_name = row.text("actor_name");
  r.kind = row.text("kind");
  r.subject = row.text("subject");
  r.organization_id = row.text_or_none("organization_id").value_or("");
  r.detail = row.text("detail");
  return r;
}

boost::json::object event_json(const Row& row) {
  boost::json::object actor;
  actor["kind"] = row.text("actor_kind");
  actor["id"] = row.text("actor_id");
  actor["name"] = row.text("actor_name");
  boost::json::object out;
  out["id"] = row.text("event_id");
  out["chain"] = row.text("chain_id");
  out["seq"] = row.integer("seq");
  out["at"] = to_rfc3339(row.time("at"));
  out["kind"] = row.text("kind");
  out["actor"] = std::move(actor);
  out["subject"] = row.text("subject");
  out["organization_id"] = nullptr;
  if (const auto organization = row.text_or_none("organization_id")) {
    out["organization_id"] = *organization;
  }
  out["detail"] = boost::json::parse(row.text("detail"));
  out["authority_term"] = row.integer("authority_term");
  out["hash"] = to_hex(row.bytes("hash"));
  return out;
}

bool names_a_node(std::string_view text) {
  return text.find(id_kind::Node::prefix) != std::string_view::npos;
}

// Without nodes: keys that say one, and texts in which one is named.
boost::json::value without_nodes(const boost::json::value& value) {
  constexpr std::string_view kOfNodes[] = {"node_id", "node_name", "endpoint", "address", "hosts"};
  if (const auto* object = value.if_object()) {
    boost::json::object out;
    for (const auto& member : *object) {
      if (std::ranges::find(kOfNodes, std::string_view(member.key())) != std::end(kOfNodes))
        continue;
      const auto* text = member.value().if_string();
      if (text != nullptr && names_a_node(*text)) continue;
      out[member.key()] = without_nodes(member.value());
    }
    return out;
  }
  if (const auto* array = value.if_array()) {
    boost::json::array out;
    for (const auto& item : *array) {
      const auto* text = item.if_string();
      if (text == nullptr || !names_a_node(*text)) out.push_back(without_nodes(item));
    }
    return out;
  }
  return value;
}

// As an organization reads it: what happened and who did it, and of nodes only that it was one. Its
// events lie in several chains between those of others: numbers would tell how many those are.
boost::json::object organization_event_json(const Row& row) {
  boost::json::object out = event_json(row);
  out.erase("chain");
  out.erase("seq");
  if (row.text("actor_kind") == "node") {
    auto& actor = out["actor"].as_object();
    actor["id"] = "";
    actor["name"] = "a node";
  }
  if (names_a_node(row.text("subject"))) out["subject"] = "";
  out["detail"] = without_nodes(out["detail"]);
  return out;
}

std::string chain_of_path(const Call& call, Tx& tx) {
  // The platform's own chain is read under the name that its events carry.
  if (call.path_value("id") == kPlatformChain) return std::string(kPlatformChain);
  const auto id = call.path_id<ClusterId>("id");
  if (tx.query(kClusterExists, {id}).empty()) refuse_not_found();
  return id.str();
}

bool newest_first(const Call& call) {
  return call.query("order") == "newest";
}

Reply list_of_cluster(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const std::string chain = chain_of_path(call, tx);
  const Page page = page_of(call);
  const bool newest = newest_first(call);
  std::int64_t after = newest ? std::numeric_limits<std::int64_t>::max() : 0;
  const char* end = page.after.data() + page.after.size();
  if (!page.after.empty() && std::from_chars(page.after.data(), end, after).ptr != end) {
    refuse(Errc::malformed, "not a cursor of this list");
  }
  return page_reply(page,
                    tx.query(newest ? kNewestOfChain : kOfChain, {chain, after, page.fetch()}),
                    event_json, "seq");
}

Reply list_of_organization(const Call& call, Tx& tx) {
  const auto id = call.path_id<OrganizationId>("id");
  if (!call.person.owner && !call.person.is_member(id)) refuse_not_found();
  if (!call.person.is_admin(id)) refuse(Errc::forbidden, "only an admin reads the audit log");
  tx.enter(Scope::of(id));
  const Page page = page_of(call);
  const char* query = newest_first(call) ? kNewestOfOrganization : kOfOrganization;
  return page_reply(page, tx.query(query, {id, page.after, page.fetch()}),
                    call.person.owner ? event_json : organization_event_json, "event_id");
}

// Rows of one transaction: a long chain must hold neither a lock nor a connection of the pool.
constexpr std::int64_t kVerifyBatch = 1000;

struct Head {
  std::int64_t seq = 0;
  Bytes hash = Bytes(32);
};

// The next rows of the chain; false when there are no more, or one is not as it has to be.
bool verify_batch(Tx& tx, const std::string& chain, std::int64_t last, AuditVerifier& verifier) {
  tx.enter(Scope::platform());
  const Rows rows = tx.query(kOfChainUpTo, {chain, verifier.checked(), last, kVerifyBatch});
  bool more = rows.size() == static_cast<std::size_t>(kVerifyBatch);
  for (const Row& row : rows) {
    if (!verifier.next(record_of(row), row.bytes("previous_hash"), row.bytes("hash"))) {
      more = false;
      break;
    }
  }
  return more;
}

// What was appended meanwhile is the next call's: the head is read first, without its lock.
net::Task<Reply> verify_chain(const Call& call) {
  Database& db = call.services->db;
  std::string chain;
  Head head;
  Database::Work begin = [&](Tx& tx) {
    tx.enter(Scope::platform());
    chain = chain_of_path(call, tx);
    const Rows rows = tx.query(kHead, {chain});
    if (!rows.empty()) head = {rows[0].integer("seq"), rows[0].bytes("hash")};
  };
  co_await db.run(std::move(begin));
  AuditVerifier verifier(chain);
  for (bool more = true; more;) {
    AuditVerifier next = verifier;
    Database::Work batch = [&](Tx& tx) {
      next = verifier;  // the transaction may run again
      more = verify_batch(tx, chain, head.seq, next);
    };
    co_await db.run(std::move(batch));
    verifier = std::move(next);
  }
  auto problem = verifier.problem();
  if (!problem && head.seq != verifier.checked()) {
    problem =
        fmt::format("the last {} events of the chain are missing", head.seq - verifier.checked());
  }
  if (!problem && !equal_constant_time(head.hash, verifier.head())) {
    problem = "the last event is not the one that the chain's head names";
  }
  boost::json::object body;
  body["valid"] = !problem.has_value();
  body["checked"] = verifier.checked();
  body["head"] = to_hex(verifier.head());
  body["problem"] = nullptr;
  if (problem) body["problem"] = *problem;
  co_return json_reply(200, body);
}

}  // namespace

Actor Actor::of(const Person& person) {
  return {"person", person.id.str(), person.display_name};
}
Actor Actor::of(const NodeCaller& node) {
  return {"node", node.id.str(), node.name};
}

void audit(Tx& tx, const Actor& actor, std::string_view cluster, const AuditEvent& event,
           const boost::json::object& detail, SystemTime now) {
  AuditRecord record;
  record.chain_id = cluster.empty() ? kPlatformChain : cluster;
  record.event_id = AuditEventId::fresh().str();
  record.at = now;
  record.authority_term = tx.query(kTerm)[0].integer("term");
  record.actor_kind = actor.kind;
  record.actor_id = actor.id;
  record.actor_name = actor.name;
  record.kind = event.kind;
  record.subject = event.subject;
  record.organization_id = event.organization_id;
  record.detail = boost::json::serialize(detail);

  const Rows head = tx.query(kLockHead, {record.chain_id, Bytes(32)});
  record.seq = head[0].integer("seq") + 1;
  Sha256Digest previous{};
  const Bytes stored = head[0].bytes("hash");
  std::copy(stored.begin(), stored.end(), previous.begin());
  const Sha256Digest hash = audit_hash(record, previous);
  tx.query(kAppend,
           {record.chain_id, record.seq, record.event_id, record.at, record.authority_term,
            record.actor_kind, record.actor_id, record.actor_name, record.kind, record.subject,
            record.organization_id, record.detail, ByteView(previous), ByteView(hash)});
  tx.query(kMoveHead, {record.chain_id, record.seq, ByteView(hash)});
}

void add_audit_routes(std::vector<Route>& routes) {
  routes.push_back(
      {"GET",
       "/v1/clusters/{id}/audit-events",
       Who::owner,
       "Audit events of a cluster; of the installation itself under the id \"platform\"",
       {{200, "AuditEventList"}, 404},
       list_of_cluster,
       {},
       {"limit", "cursor", {"order", kOrderWords}}});
  routes.push_back({"GET",
                    "/v1/clusters/{id}/audit-events/verify",
                    Who::owner,
                    "Checks the hash chain of a cluster's audit events",
                    {{200, "AuditVerdict"}, 404},
                    TaskHandler(verify_chain)});
  routes.push_back({"GET",
                    "/v1/organizations/{id}/audit-events",
                    Who::person,
                    "Audit events that concern an organization, by the time of their noting",
                    {{200, "AuditEventList"}, 403, 404},
                    list_of_organization,
                    {},
                    {"limit", "cursor", {"order", kOrderWords}}});
}

}  // namespace rap::cp
