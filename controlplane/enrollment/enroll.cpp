#include <boost/json.hpp>

#include "base/log.hpp"
#include "contracts/snapshot_limits.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/clusters/director_root.hpp"
#include "controlplane/clusters/keys.hpp"
#include "controlplane/enrollment/capabilities.hpp"
#include "controlplane/enrollment/identities.hpp"
#include "controlplane/enrollment/routes.hpp"
#include "controlplane/enrollment/rules.hpp"
#include "controlplane/http/services.hpp"

namespace rap::cp {
namespace {

// What a node says about itself while nobody has approved it: bounded by a page of text.
constexpr std::size_t kFactsMax = 16 * 1024;

constexpr const char* kLockToken = R"sql(
  select t.cluster_id, t.token_hash, t.scope, t.expires_at, t.max_uses, t.used_count, t.revoked_at
  from node_join_tokens t where t.id = $1 for update
)sql";
constexpr const char* kLastRequest = R"sql(
  select r.id, r.token_id, r.node_name, r.status, r.rejection_reason, r.approved_node_id,
         r.cluster_id, r.reviewed_at
  from node_join_requests r where r.node_fingerprint = $1
  order by r.created_at desc, r.id desc limit 1
)sql";
// The node that was approved with the key, or took it into use by rotation, and its certificates.
constexpr const char* kHolder = R"sql(
  select m.cluster_id, m.node_id, m.membership_status,
         max(i.certificate_not_after) as ends, max(i.issued_at) as issued_at
  from cluster_memberships m
  left join node_identities i on i.cluster_id = m.cluster_id and i.node_id = m.node_id
  where m.node_id in (
    select r.approved_node_id from node_join_requests r
    where r.node_fingerprint = $1 and r.status = 'approved'
    union
    select k.node_id from node_identities k where k.fingerprint = $1)
  group by m.cluster_id, m.node_id, m.membership_status limit 1
)sql";
constexpr const char* kCountUse =
    "update node_join_tokens set used_count = used_count + 1 where id = $1";
constexpr const char* kInsertRequest = R"sql(
  insert into node_join_requests
    (id, cluster_id, token_id, node_name, node_fingerprint, public_key, reported_capabilities,
     reported_facts, requested_roles, agent_version, address, renews_node_id, status)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'pending')
)sql";
constexpr const char* kActiveCertificate = R"sql(
  select certificate_pem, certificate_not_before, certificate_not_after, fingerprint
  from node_identities where cluster_id = $1 and node_id = $2 and identity_status = 'active'
)sql";

struct Token {
  JoinTokenText text;
  ClusterId cluster;
  JoinTokenState state;
};

// Counted and audited: somebody shows tokens that are not good.
void audit_refusal(const Call& call, Tx& tx, const Token* token, const Error& error) {
  log::warn("enrollment refused", {{"address", call.address}, {"code", name(error.code)}});
  if (token == nullptr) return;  // made-up tokens must not fill the log of a cluster
  boost::json::object detail;
  detail["address"] = call.address;
  detail["code"] = name(error.code);
  detail["node_name"] = call.text("node_name");
  audit(tx, Actor::system(), token->cluster.str(), {"enrollment.refused", token->text.id.str()},
        detail, call.now);
}

Result<Token> find_token(const Call& call, Tx& tx) {
  auto text = parse_join_token(call.text("token"));
  if (!text) return fail(text.error());
  if (!equal_constant_time(text->pin, call.services->platform.spki_sha256())) {
    return fail(Errc::mismatch, "the join token is of another installation");
  }
  const Rows rows = tx.query(kLockToken, {text->id});
  const Sha256Digest hash = sha256(ByteView(text->secret));
  if (rows.empty() || !equal_constant_time(rows[0].bytes("token_hash"), hash)) {
    return fail(Errc::unauthorized, "the join token is not known here");
  }
  const Row& row = rows[0];
  Token token;
  token.text = std::move(*text);
  token.cluster = require(ClusterId::parse(row.text("cluster_id")));
  token.state = {row.time("expires_at"),
                 row.time_or_none("revoked_at").has_value(),
                 row.integer("used_count"),
                 row.integer("max_uses"),
                 {}};
  const auto scope = row.json("scope");
  if (const auto* roles = scope.as_object().if_contains("roles")) {
    for (const auto& role : roles->as_array())
      token.state.scope_roles.emplace_back(role.as_string());
  }
  return token;
}

std::vector<std::string> requested_roles(const Call& call) {
  std::vector<std::string> roles;
  for (const auto& role : call.array("requested_roles")) roles.emplace_back(role.as_string());
  return roles;
}

// What the database knows of a key.
struct Found {
  Rows last_request;
  Rows holder;

  bool pending() const {
    return !last_request.empty() && last_request[0].text("status") == "pending";
  }
};

Found find_key(Tx& tx, const CertificateRequest& csr) {
  Found found{tx.query(kLastRequest, {ByteView(csr.fingerprint)}), {}};
  found.holder = tx.query(kHolder, {ByteView(csr.fingerprint)});
  return found;
}

KnownKey::Holder holder_of(const Found& found, const Token& token, SystemTime now) {
  using Holder = KnownKey::Holder;
  if (found.holder.empty()) return Holder::nobody;
  const Row& row = found.holder[0];
  if (row.text("membership_status") == "revoked") return Holder::revoked;
  const auto ends = row.time_or_none("ends");
  const auto issued = row.time_or_none("issued_at");
  // A token lets nobody into another cluster than its own, whoever was there before.
  if (!ends || !issued || *ends > now || row.text("cluster_id") != token.cluster.str()) {
    return Holder::node;
  }
  const Row* request = found.last_request.empty() ? nullptr : &found.last_request[0];
  const bool to_be_fetched = request != nullptr && request->text("status") == "approved" &&
                             *issued < request->time("reviewed_at");
  return to_be_fetched ? Holder::node : Holder::lapsed;
}

std::optional<KnownKey> known_key(const Found& found, const Token& token, SystemTime now) {
  if (found.last_request.empty() && found.holder.empty()) return std::nullopt;
  KnownKey key;
  key.holder = holder_of(found, token, now);
  if (found.last_request.empty()) return key;
  const Row& request = found.last_request[0];
  key.token_id = request.text("token_id");
  key.node_name = request.text("node_name");
  using Request = KnownKey::Request;
  const std::string status = request.text("status");
  key.request = status == "pending"    ? Request::pending
                : status == "approved" ? Request::approved
                                       : Request::rejected;
  return key;
}

// `renews`: the node that has the key already, or nobody.
std::string make_request(const Call& call, Tx& tx, const Token& token,
                         const CertificateRequest& csr, const std::optional<std::string>& renews) {
  const auto capabilities = require(parse_capabilities(call.array("capabilities")));
  boost::json::array listed;
  for (const auto& capability : capabilities) {
    boost::json::object item;
    item["name"] = capability.name;
    item["detail"] = boost::json::parse(capability.detail);
    listed.push_back(std::move(item));
  }
  const std::string facts = boost::json::serialize(call.object("facts"));
  if (facts.size() > kFactsMax) call.bad_field("facts", "at most 16 KiB");
  const auto id = JoinRequestId::fresh();
  tx.query(kCountUse, {token.text.id});
  tx.query(kInsertRequest,
           {id, token.cluster, token.text.id, call.text("node_name"), ByteView(csr.fingerprint),
            csr.public_key, boost::json::serialize(listed), facts,
            boost::json::serialize(call.array("requested_roles")), call.text("agent_version"),
            call.address, renews});
  boost::json::object detail;
  detail["node_name"] = call.text("node_name");
  if (renews) detail["renews_node_id"] = *renews;
  detail["fingerprint"] = to_hex(csr.fingerprint);
  detail["address"] = call.address;
  audit(tx, Actor::system(), token.cluster.str(), {"join_request.received", id.str()}, detail,
        call.now);
  return id.str();
}

Reply pending(std::string_view id) {
  boost::json::object body;
  body["join_request_id"] = id;
  body["status"] = "pending";
  return json_reply(202, body);
}

// Approved: the certificate in force, or a fresh one when that is past half its life. Only the
// holder of the key can use either.
Reply approved(const Call& call, Tx& tx, const Row& request, const CertificateRequest& csr) {
  const auto cluster = require(ClusterId::parse(request.text("cluster_id")));
  const auto node = require(NodeId::parse(request.text("approved_node_id")));
  const Rows active = tx.query(kActiveCertificate, {cluster, node});
  std::string pem;
  if (!active.empty() && equal_constant_time(active[0].bytes("fingerprint"), csr.fingerprint) &&
      call.now < active[0].time("certificate_not_after") - kNodeCertificateLife / 2) {
    pem = active[0].text("certificate_pem");
  } else {
    pem = issue_node_certificate(*call.services, tx,
                                 {cluster, node, call.text("csr_pem"), !active.empty()}, call.now)
              .pem;
  }
  const auto keys = call.services->cluster_keys.get(tx, cluster);
  boost::json::object body;
  body["status"] = "approved";
  body["join_request_id"] = request.text("id");
  body["node_id"] = node.str();
  body["cluster_id"] = cluster.str();
  body["certificate_pem"] = pem;
  body["cluster_ca_pem"] = keys->ca.certificate_pem();
  body["director_root"] = boost::json::parse(director_root(tx, cluster));
  return json_reply(200, body);
}

Reply refusal_reply(const Error& error) {
  const net::HttpResponse response = problem_response(Problem(error));
  Reply reply;
  reply.status = response.status;
  reply.content_type = "application/problem+json";
  reply.body = response.body;
  return reply;
}

Reply enroll(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const CertificateRequest csr = require(inspect_csr(call.text("csr_pem")));
  const auto token = find_token(call, tx);
  if (!token) {
    audit_refusal(call, tx, nullptr, token.error());
    return refusal_reply(token.error());
  }
  const Found found = find_key(tx, csr);
  const auto verdict =
      judge_key(known_key(found, *token, call.now), token->text.id.str(), call.text("node_name"));
  if (!verdict) {
    audit_refusal(call, tx, &*token, verdict.error());
    return refusal_reply(verdict.error());
  }
  if (*verdict != KeyVerdict::same_request) {
    const Status allowed = check_redemption(token->state, requested_roles(call), call.now);
    if (!allowed) {
      audit_refusal(call, tx, &*token, allowed.error());
      return refusal_reply(allowed.error());
    }
    std::optional<std::string> renews;
    if (*verdict == KeyVerdict::renewal) renews = found.holder[0].text("node_id");
    return pending(make_request(call, tx, *token, csr, renews));
  }
  const Row& request = found.last_request[0];
  if (found.pending()) return pending(request.text("id"));
  if (request.text("status") == "rejected") {
    refuse(Errc::forbidden, "the join request was rejected: " +
                                request.text_or_none("rejection_reason").value_or(""));
  }
  return approved(call, tx, request, csr);
}

Reply rotate(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  const CertificateRequest csr = require(inspect_csr(call.text("csr_pem")));
  const Found found = find_key(tx, csr);
  if (found.pending() ||
      (!found.holder.empty() && found.holder[0].text("node_id") != call.node.id.str())) {
    refuse(Errc::conflict, "another node uses this key; make a new one");
  }
  const IssuedCertificate issued = issue_node_certificate(
      *call.services, tx, {call.node.cluster, call.node.id, call.text("csr_pem"), true}, call.now);
  boost::json::object body;
  body["certificate_pem"] = issued.pem;
  return json_reply(200, body);
}

}  // namespace

void add_enroll_routes(std::vector<Route>& routes) {
  routes.push_back(
      Route{"POST",
            "/v1/enroll",
            Who::anyone,
            "Ask to join a cluster with a join token; ask again for the decision",
            {{200, "EnrollmentApproved"}, {202, "EnrollmentPending"}, 401, 403, 409, 422},
            enroll,
            {text_field("token", 1, 200),
             lines_field("csr_pem", 1, 16 * 1024),
             text_field("node_name", 1, kNodeNameMax),
             {"facts", FieldType::object, Need::optional},
             {"capabilities", FieldType::items, Need::optional, 0, 64},
             {"requested_roles", FieldType::texts, Need::optional, 0, 32},
             optional_text("agent_version", 60)}}
          .changing_trust()
          .from_strangers());
  routes.push_back(Route{"POST",
                         "/v1/node/certificate",
                         Who::node,
                         "Replace the node's certificate",
                         {{200, "NodeCertificate"}, 409, 422},
                         rotate,
                         {lines_field("csr_pem", 1, 16 * 1024)}}
                       .changing_trust());
}

}  // namespace rap::cp
