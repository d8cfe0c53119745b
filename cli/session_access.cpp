#include "cli/session_access.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"
#include "fabric/mesh_names.hpp"

namespace rap::cli {

namespace json = boost::json;

namespace {

// fabric/ends/session_ways.cpp tries no more.
constexpr std::size_t kEntriesMax = 16;

// Collects the first error, so that an answer reads as a list of its members.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  std::string text(std::string_view key) {
    auto value = json_string(object_, key);
    if (value && !value->empty()) return *std::move(value);
    note(value ? Error{Errc::invalid, std::string(key) + ": empty"} : value.error());
    return {};
  }
  template <typename T>
  T take(Result<T> value) {
    if (value) return *std::move(value);
    note(value.error());
    return {};
  }
  void note(Error error) {
    if (!error_) error_ = std::move(error);
  }
  template <typename T>
  Result<T> finish(T value) {
    if (error_) return fail(std::move(*error_));
    return value;
  }

 private:
  const json::object& object_;
  std::optional<Error> error_;
};

Result<MeshWay> parse_mesh(const json::object& mesh, const std::string& cluster_id) {
  Reader in(mesh);
  MeshWay out;
  out.entries = in.take(parse_entries(mesh));
  const auto target = fabric::target_of_spiffe(cluster_id, in.text("service"));
  if (target && target->kind == fabric::MeshTarget::Kind::service) {
    out.service = target->id;
  } else {
    in.note({Errc::invalid, "service: not one of this cluster"});
  }
  out.cluster_ca_pem = in.text("cluster_ca_pem");
  out.carry = in.take(parse_carry_grant(mesh));
  out.lease = in.text("lease");
  return in.finish(std::move(out));
}

Result<NodeWay> parse_node(const json::object& answer, const json::object& node) {
  Reader in(node);
  NodeWay out;
  out.endpoint = in.text("endpoint");
  out.spiffe_id = in.text("spiffe_id");
  out.cluster_ca_pem = in.text("cluster_ca_pem");
  out.lease = in.take(json_string(answer, "lease"));
  return in.finish(std::move(out));
}

bool is_there(const json::object& object, std::string_view key) {
  const json::value* member = object.if_contains(key);
  return member != nullptr && !member->is_null();
}

}  // namespace

Result<std::vector<std::string>> parse_entries(const json::object& answer) {
  const auto items = json_array(answer, "entries");
  if (!items) return fail(items.error());
  if ((*items)->empty() || (*items)->size() > kEntriesMax) {
    return fail(Errc::invalid, "entries: 1 to 16");
  }
  std::vector<std::string> out;
  for (const json::value& item : **items) {
    if (!item.is_string()) return fail(Errc::invalid, "entries: texts");
    out.emplace_back(item.get_string());
  }
  return out;
}

Result<fabric::CarryGrant> parse_carry_grant(const json::object& answer) {
  Reader in(answer);
  fabric::CarryGrant out;
  out.lease = in.text("carry");
  out.expires_at = in.take(from_rfc3339(in.text("carry_expires_at")));
  return in.finish(std::move(out));
}

Result<SessionAccess> parse_session_access(const json::value& answer) {
  const json::object* object = answer.if_object();
  if (object == nullptr) return fail(Errc::malformed, "not an object");
  const auto session = json_object(*object, "session");
  if (!session) return fail(session.error());
  Reader in(**session);
  SessionAccess named;
  named.session_id = in.text("id");
  named.cluster_id = in.text("cluster_id");
  Result<SessionAccess> out = in.finish(std::move(named));
  if (!out) return out;
  if (is_there(*object, "mesh")) {
    const auto mesh = json_object(*object, "mesh");
    if (!mesh) return fail(mesh.error());
    auto way = parse_mesh(**mesh, out->cluster_id);
    if (!way) return fail(way.error(), "mesh");
    out->mesh = *std::move(way);
  }
  if (is_there(*object, "node")) {
    const auto node = json_object(*object, "node");
    if (!node) return fail(node.error());
    auto way = parse_node(*object, **node);
    if (!way) return fail(way.error(), "node");
    out->node = *std::move(way);
  }
  if (!out->mesh && !out->node) return fail(Errc::invalid, "names no way to the session");
  return out;
}

}  // namespace rap::cli
