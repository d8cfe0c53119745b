#include "controlplane/director/director.hpp"

#include <stdexcept>

#include <boost/json.hpp>

#include "base/log.hpp"
#include "controlplane/director/content.hpp"
#include "signing/sign/director.hpp"

namespace rap::cp {
namespace {

// A third of the timestamp's hour: a node that polls always holds one that lasts 40 minutes.
constexpr std::chrono::minutes kTimestampFresh{20};
constexpr std::int64_t kSetsKept = 4;

constexpr const char* kSeq = "select desired_seq from nodes where id = $1";
constexpr const char* kSeqLocked = "select desired_seq from nodes where id = $1 for update";
constexpr const char* kNewest = R"sql(
  select timestamp_version, snapshot_version, targets_version, built_for_seq, content_sha256, files,
         documents, signed_at
  from node_directors where node_id = $1 order by timestamp_version desc limit 1
)sql";
constexpr const char* kInsert = R"sql(
  insert into node_directors
    (node_id, timestamp_version, snapshot_version, targets_version, built_for_seq, content_sha256,
     files, documents, signed_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
)sql";
constexpr const char* kNoChange = R"sql(
  update node_directors set built_for_seq = $3 where node_id = $1 and timestamp_version = $2
)sql";
constexpr const char* kForgetOld = R"sql(
  delete from node_directors where node_id = $1 and timestamp_version not in
    (select timestamp_version from node_directors where node_id = $1
     order by timestamp_version desc limit $2)
)sql";
constexpr const char* kOlderFile = R"sql(
  select files ->> $2 as text from node_directors where node_id = $1 and files ? $2
  order by timestamp_version desc limit 1
)sql";
constexpr const char* kAllDocuments = R"sql(
  select documents from node_directors where node_id = $1 order by timestamp_version desc
)sql";
constexpr const char* kRoot = R"sql(
  select document from cluster_director_roots where cluster_id = $1 and version = $2
)sql";

std::map<std::string, std::string> to_map(const boost::json::value& value) {
  std::map<std::string, std::string> out;
  for (const auto& member : value.as_object()) {
    out[std::string(member.key())] = std::string(member.value().as_string());
  }
  return out;
}
boost::json::object to_object(const std::map<std::string, std::string>& map) {
  boost::json::object out;
  for (const auto& [key, text] : map) out[key] = text;
  return out;
}

struct Stored {
  sign::DirectorVersions versions;
  std::int64_t built_for = 0;
  Bytes fingerprint;
  SystemTime signed_at{};
  DirectorSet set;
};

std::optional<Stored> read_newest(Tx& tx, const NodeId& node) {
  const Rows rows = tx.query(kNewest, {node});
  if (rows.empty()) return std::nullopt;
  const Row& row = rows[0];
  Stored out;
  out.versions.timestamp = row.integer("timestamp_version");
  out.versions.snapshot = row.integer("snapshot_version");
  out.versions.targets = row.integer("targets_version");
  out.built_for = row.integer("built_for_seq");
  out.fingerprint = row.bytes("content_sha256");
  out.signed_at = row.time("signed_at");
  out.set.version = out.versions.timestamp;
  out.set.files = to_map(row.json("files"));
  out.set.documents = to_map(row.json("documents"));
  return out;
}

// A set of the future was signed while the clock was ahead: it must not be served until then.
bool fresh(const Stored& stored, SystemTime now) {
  return stored.signed_at <= now && now - stored.signed_at < kTimestampFresh;
}

}  // namespace

DirectorSet Director::current(Tx& tx, const NodeCaller& node, SystemTime now) {
  {
    const auto stored = read_newest(tx, node.id);
    const std::int64_t seq = tx.query(kSeq, {node.id})[0].integer("desired_seq");
    if (stored && stored->built_for == seq && fresh(*stored, now)) return stored->set;
  }
  // One server signs at a time; the others find its work.
  const std::int64_t seq = tx.query(kSeqLocked, {node.id})[0].integer("desired_seq");
  const auto stored = read_newest(tx, node.id);
  if (stored && stored->built_for == seq && fresh(*stored, now)) return stored->set;

  const auto keys = keys_.get(tx, node.cluster);
  DirectorContent content = collect_content(tx, node.cluster, node.id, *keys, mesh_, now);
  const bool same = stored && equal_constant_time(stored->fingerprint, content.fingerprint);
  if (same && fresh(*stored, now)) {
    tx.query(kNoChange, {node.id, stored->versions.timestamp, seq});
    return stored->set;
  }
  const sign::DirectorSigner signer(
      {&keys->director_targets, &keys->director_snapshot, &keys->director_timestamp});
  std::optional<sign::DirectorMetadata> metadata;
  if (same) {
    auto refreshed = signer.refresh_timestamp({stored->set.files, stored->versions}, now);
    if (refreshed) {
      metadata = std::move(*refreshed);
      content.documents = stored->set.documents;
    }
  }
  if (!metadata) {
    auto made =
        signer.sign(content.targets, stored ? stored->versions : sign::DirectorVersions{}, now);
    if (!made) throw std::runtime_error("director: " + made.error().text());
    metadata = std::move(*made);
  }
  tx.query(kInsert, {node.id, metadata->versions.timestamp, metadata->versions.snapshot,
                     metadata->versions.targets, seq, ByteView(content.fingerprint),
                     to_object(metadata->files), to_object(content.documents), now});
  tx.query(kForgetOld, {node.id, kSetsKept});
  log::info("director signed", {{"node", node.id.str()},
                                {"version", metadata->versions.timestamp},
                                {"targets", content.targets.size()}});
  return {metadata->versions.timestamp, std::move(metadata->files), std::move(content.documents)};
}

std::optional<std::string> Director::metadata(Tx& tx, const NodeCaller& node,
                                              const std::string& file, SystemTime now) {
  constexpr std::string_view kRootSuffix = ".root.json";
  if (file.ends_with(kRootSuffix)) {
    const std::string version = file.substr(0, file.size() - kRootSuffix.size());
    if (version.empty() || version.size() > 9 ||
        version.find_first_not_of("0123456789") != std::string::npos) {
      return std::nullopt;
    }
    const Rows rows = tx.query(kRoot, {node.cluster, version});
    if (rows.empty()) return std::nullopt;
    return rows[0].text("document");
  }
  if (file == "timestamp.json") return current(tx, node, now).files.at(file);
  const Rows rows = tx.query(kOlderFile, {node.id, file});
  if (rows.empty()) return std::nullopt;
  return rows[0].text("text");
}

std::optional<std::string> Director::document(Tx& tx, const NodeCaller& node,
                                              const std::string& path) {
  for (const Row& row : tx.query(kAllDocuments, {node.id})) {
    for (const auto& [name, text] : to_map(row.json("documents"))) {
      const auto consistent = sign::consistent_target_name(name, to_hex(sha256(text)));
      if (path == name || path == consistent) return text;
    }
  }
  return std::nullopt;
}

}  // namespace rap::cp
