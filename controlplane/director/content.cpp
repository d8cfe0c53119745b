#include "controlplane/director/content.hpp"

#include <algorithm>
#include <set>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "contracts/snapshot_limits.hpp"
#include "controlplane/mesh/scope.hpp"
#include "controlplane/releases/choose.hpp"
#include "controlplane/roles/rules.hpp"
#include "fabric/lease.hpp"

namespace rap::cp {
namespace {

// Beside the resources there are a few keys.
constexpr std::size_t kAccessResourceBytesMax = kSnapshotBytesMax - 64 * 1024;

constexpr const char* kMembership = R"sql(
  select n.name, m.membership_status, a.term
  from cluster_memberships m join nodes n on n.id = m.node_id cross join authority a
  where m.cluster_id = $1 and m.node_id = $2
)sql";
constexpr const char* kAssignments = R"sql(
  select a.id, a.role, a.organization_id, a.policy, w.version as running
  from node_role_assignments a left join node_service_instances w on w.service_instance_id = a.id
  where a.cluster_id = $1 and a.node_id = $2 and a.status = 'active' order by a.id
)sql";
constexpr const char* kReleases = R"sql(
  select id, product, version, release_seq, security_epoch, manifest from releases
  where listed order by product, release_seq
)sql";
constexpr const char* kChannels =
    "select product, channel, version, min_epoch from release_channels order by product, channel";
constexpr const char* kManifestTarget = R"sql(
  select manifest_path, manifest_length, manifest_sha256, manifest_custom from releases
  where id = $1
)sql";
constexpr const char* kArtifacts = R"sql(
  select target_path, length, sha256, custom from artifacts
  where release_id = $1 and os = 'linux' and arch = 'x86_64' and libc = 'glibc'
)sql";
// By organization: an assignment for one organization must not bring another's resources.
constexpr const char* kResources = R"sql(
  select id, organization_id, name, protocol, target, secret_ref, options from resources
  where cluster_id = $1 and protocol = $2 and deleted_at is null
    and ($3::text is null or organization_id = $3)
  order by id
)sql";

struct Assignment {
  std::string id, role;
  std::optional<std::string> organization;
  boost::json::object policy;
  std::optional<std::string> running;  // the version that the node last said it runs
};

std::vector<ReleaseFacts> read_releases(Tx& tx) {
  std::vector<ReleaseFacts> out;
  for (const Row& row : tx.query(kReleases)) {
    ReleaseFacts facts{row.text("id"),
                       row.text("product"),
                       row.text("version"),
                       row.integer("release_seq"),
                       row.integer("security_epoch"),
                       {}};
    facts.roles = manifest_roles(row.json("manifest").as_object());
    out.push_back(std::move(facts));
  }
  return out;
}

std::vector<ChannelFacts> read_channels(Tx& tx) {
  std::vector<ChannelFacts> out;
  for (const Row& row : tx.query(kChannels)) {
    out.push_back(
        {row.text("product"), row.text("channel"), row.text("version"), row.integer("min_epoch")});
  }
  return out;
}

ReleaseWish wish_of(const boost::json::object& policy) {
  ReleaseWish wish;
  wish.product = json_string_or_none(policy, "product").value_or("");
  wish.version = json_string_or_none(policy, "version").value_or("");
  wish.channel = json_string_or_none(policy, "channel").value_or("current");
  return wish;
}

// Collects targets; every one carries for whom it is.
class Builder {
 public:
  Builder(const ClusterId& cluster, const NodeId& node, std::int64_t term)
      : cluster_(cluster), node_(node), term_(term) {}

  // `stable` is the document without what changes with every build.
  void document(const std::string& path, const boost::json::object& body,
                const boost::json::object& stable) {
    document(path, boost::json::serialize(body), boost::json::serialize(stable));
  }
  void document(const std::string& path, const std::string& text, const std::string& stable) {
    boost::json::object custom;
    custom["kind"] = "snapshot";
    const Sha256Digest digest = sha256(text);
    add(path, static_cast<std::int64_t>(text.size()), to_hex(digest), std::move(custom));
    note(path + "\n" + stable + "\n");
    content.documents[path] = text;
  }

  void release_file(const Row& row, const char* path, const char* length, const char* digest,
                    const char* custom_column, std::string_view kind) {
    boost::json::object custom = row.json(custom_column).as_object();
    if (custom.if_contains("kind") == nullptr) custom["kind"] = kind;
    const std::string hex = to_hex(row.bytes(digest));
    note(row.text(path) + "\n" + hex + "\n");
    add(row.text(path), row.integer(length), hex, std::move(custom));
  }

  DirectorContent finish() {
    note(std::to_string(term_));
    content.fingerprint = sha256(noted_);
    return std::move(content);
  }

  DirectorContent content;

 private:
  void note(std::string text) { noted_ += text; }
  void add(std::string path, std::int64_t length, std::string hex, boost::json::object custom) {
    custom["cluster_id"] = cluster_.str();
    custom["node_id"] = node_.str();
    custom["authority_term"] = term_;
    content.targets.push_back(
        {std::move(path), length, std::move(hex), boost::json::serialize(custom)});
  }

  const ClusterId& cluster_;
  const NodeId& node_;
  std::int64_t term_;
  std::string noted_;
};

boost::json::value or_null(const std::optional<std::string>& text) {
  return text ? boost::json::value(boost::json::string(*text)) : boost::json::value(nullptr);
}

boost::json::object resource_json(const Row& row, const std::string& role) {
  boost::json::object out;
  out["resource_id"] = row.text("id");
  out["organization_id"] = row.text("organization_id");
  out["name"] = row.text("name");
  out["protocol"] = row.text("protocol");
  out["role"] = role;
  out["target"] = row.json("target");
  out["secret_ref"] = or_null(row.text_or_none("secret_ref"));
  out["options"] = row.json("options");
  return out;
}

boost::json::object access_document(Tx& tx, const ClusterId& cluster, const NodeId& node,
                                    const ClusterKeyset& keys,
                                    const std::vector<Assignment>& assignments) {
  boost::json::object key;
  key["kid"] = fabric::lease_key_id(keys.lease.public_raw());
  key["public"] = to_hex(keys.lease.public_raw());
  boost::json::array resources;
  std::set<std::string> seen;
  std::size_t bytes = 0;
  std::size_t left_out = 0;
  for (const Assignment& assignment : assignments) {
    const auto protocol = protocol_of_role(assignment.role);
    if (!protocol) continue;
    for (const Row& row : tx.query(kResources, {cluster, *protocol, assignment.organization})) {
      if (!seen.insert(row.text("id")).second) continue;
      auto resource = resource_json(row, assignment.role);
      const std::size_t size = boost::json::serialize(resource).size() + 1;
      if (resources.size() == kResourcesMax || bytes + size > kAccessResourceBytesMax) {
        ++left_out;
        continue;
      }
      bytes += size;
      resources.push_back(std::move(resource));
    }
  }
  if (left_out > 0) {
    log::error("a node has more resources than it can be told; it serves the rest",
               {{"node", node.str()}, {"left_out", left_out}});
  }
  boost::json::array lease_keys;
  lease_keys.push_back(std::move(key));
  boost::json::object out;
  out["format"] = 1;
  out["lease_keys"] = std::move(lease_keys);
  out["resources"] = std::move(resources);
  return out;
}

// Who has a place in the mesh is told about the others; anybody else gets no such document.
void mesh_document(Builder& builder, const MeshView& view, const NodeId& node, SystemTime now) {
  const MeshNode* me = view.find(node.str());
  if (me == nullptr) return;
  const auto self = static_cast<std::uint32_t>(me - view.nodes.data());
  const std::string text = routing::to_json(directory_for(view, self, now));
  if (text.size() > routing::kDirectoryBytesMax) {
    log::error("the mesh directory of a node is too large; it keeps the one before",
               {{"node", node.str()}, {"bytes", text.size()}});
    return;
  }
  builder.document("snap/mesh.json", text,
                   to_hex(scope_hash(view, self)) + std::to_string(directory_period(*me, now)));
}

}  // namespace

DirectorContent collect_content(Tx& tx, const ClusterId& cluster, const NodeId& node,
                                const ClusterKeyset& keys, MeshViews& mesh, SystemTime now) {
  const Rows membership = tx.query(kMembership, {cluster, node});
  const std::int64_t term = membership[0].integer("term");
  Builder builder(cluster, node, term);

  boost::json::object me;
  me["format"] = 1;
  me["cluster_id"] = cluster.str();
  me["node_id"] = node.str();
  me["node_name"] = membership[0].text("name");
  me["status"] = membership[0].text("membership_status");
  me["authority_term"] = term;
  me["cluster_ca_pem"] = keys.ca.certificate_pem();
  const boost::json::object stable = me;
  me["issued_at"] = to_rfc3339(now);
  builder.document("snap/membership.json", me, stable);

  std::vector<Assignment> assignments;
  for (const Row& row : tx.query(kAssignments, {cluster, node})) {
    assignments.push_back({row.text("id"), row.text("role"), row.text_or_none("organization_id"),
                           row.json("policy").as_object(), row.text_or_none("running")});
  }
  const auto releases = read_releases(tx);
  const auto channels = read_channels(tx);
  std::set<std::string> chosen;
  boost::json::array listed;
  for (const Assignment& assignment : assignments) {
    const ReleaseWish wish = wish_of(assignment.policy);
    const ReleaseFacts* release = choose_release(assignment.role, wish, releases, channels);
    boost::json::object item;
    item["assignment_id"] = assignment.id;
    item["role"] = assignment.role;
    item["organization_id"] = or_null(assignment.organization);
    item["product"] = nullptr;
    item["version"] = nullptr;
    if (release != nullptr) {
      item["product"] = release->product;
      item["version"] = release->version;
      chosen.insert(release->id);
      // Listed, not assigned: what runs may go on until the node has the other one.
      const ReleaseFacts* before =
          fallback_release(assignment.role, *release, assignment.running.value_or(""), releases);
      if (before != nullptr) chosen.insert(before->id);
    } else {
      item["reason"] = why_no_release(assignment.role, wish, releases, channels);
    }
    const auto* config = assignment.policy.if_contains("config");
    item["config"] = config != nullptr && config->is_object() ? *config : boost::json::object();
    listed.push_back(std::move(item));
  }
  boost::json::object roles;
  roles["format"] = 1;
  roles["assignments"] = std::move(listed);
  builder.document("snap/roles.json", roles, roles);
  const auto access = access_document(tx, cluster, node, keys, assignments);
  builder.document("snap/access.json", access, access);
  mesh_document(builder, *mesh.get(tx, cluster, now), node, now);

  for (const std::string& release : chosen) {
    builder.release_file(tx.query(kManifestTarget, {release})[0], "manifest_path",
                         "manifest_length", "manifest_sha256", "manifest_custom", "manifest");
    for (const Row& artifact : tx.query(kArtifacts, {release})) {
      builder.release_file(artifact, "target_path", "length", "sha256", "custom", "artifact");
    }
  }
  return builder.finish();
}

}  // namespace rap::cp
