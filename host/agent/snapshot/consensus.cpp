#include "host/agent/snapshot/consensus.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"

namespace rap::agent {
namespace json = boost::json;

Result<ListedTarget> listed_target(std::string path, std::uint64_t length, std::string sha256,
                                   const json::value& custom) {
  ListedTarget out;
  out.path = std::move(path);
  out.length = length;
  out.sha256 = std::move(sha256);
  if (custom.is_null()) return out;
  if (!custom.is_object()) return fail(Errc::invalid, out.path + ": custom: want an object");
  const json::object& object = custom.get_object();

  const auto text = [&](std::string_view key, std::string& into) -> Status {
    if (!object.contains(key)) return {};
    auto value = json_string(object, key);
    if (!value) return fail(value.error(), out.path + ": custom");
    into = std::move(*value);
    return {};
  };
  const auto number = [&](std::string_view key, std::int64_t& into) -> Status {
    if (!object.contains(key)) return {};
    auto value = json_int(object, key);
    if (!value) return fail(value.error(), out.path + ": custom");
    if (*value < 0) return fail(Errc::invalid, out.path + ": custom: " + std::string(key));
    into = *value;
    return {};
  };
  for (const Status& read :
       {text("kind", out.kind), text("product", out.product), text("version", out.version),
        text("cluster_id", out.cluster_id), text("node_id", out.node_id),
        number("release_seq", out.release_seq), number("security_epoch", out.security_epoch),
        number("authority_term", out.authority_term)}) {
    if (!read) return fail(read.error());
  }
  return out;
}

Status check_scope(const ListedTarget& target, const NodeScope& scope) {
  if (target.cluster_id.empty() || target.node_id.empty() || target.authority_term < 0) {
    return fail(Errc::invalid, target.path + ": does not say for which node it is");
  }
  if (target.cluster_id != scope.cluster_id) {
    return fail(Errc::forbidden, target.path + ": is for another cluster");
  }
  if (target.node_id != scope.node_id) {
    return fail(Errc::forbidden, target.path + ": is for another node");
  }
  if (target.authority_term < scope.authority_term_floor) {
    return fail(Errc::rollback, target.path + ": authority term " +
                                    std::to_string(target.authority_term) + ", already seen " +
                                    std::to_string(scope.authority_term_floor));
  }
  return {};
}

Status check_consensus(const std::optional<ListedTarget>& in_release,
                       const std::optional<ListedTarget>& in_director,
                       std::int64_t security_epoch_floor) {
  if (!in_director) return fail(Errc::not_found, "the control plane does not assign it");
  if (!in_release) {
    return fail(Errc::not_found, in_director->path + ": not in the release repository");
  }
  const ListedTarget& r = *in_release;
  const ListedTarget& d = *in_director;
  const auto differ = [&](std::string_view what) {
    return fail(Errc::mismatch,
                d.path + ": release repository and control plane disagree on " + std::string(what));
  };
  if (r.path != d.path) return differ("path");
  if (r.length != d.length) return differ("length");
  if (r.sha256 != d.sha256 || r.sha256.empty()) return differ("sha256");
  if (r.product != d.product) return differ("product");
  if (r.version != d.version) return differ("version");
  if (r.release_seq != d.release_seq) return differ("release_seq");
  if (r.security_epoch != d.security_epoch) return differ("security_epoch");
  if (r.security_epoch < security_epoch_floor) {
    return fail(Errc::rollback, d.path + ": security epoch " + std::to_string(r.security_epoch) +
                                    " is below " + std::to_string(security_epoch_floor));
  }
  return {};
}

std::string manifest_path(std::string_view product, std::string_view version) {
  return "rel/" + std::string(product) + "/" + std::string(version) + "/manifest.json";
}

}  // namespace rap::agent
