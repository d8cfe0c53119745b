#include "plugins/mesh/given.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/id.hpp"
#include "base/json.hpp"
#include "base/net/tcp.hpp"
#include "base/net/x509.hpp"
#include "fabric/lease_keys.hpp"

namespace rap::mesh {

namespace json = boost::json;

Result<Access> parse_access(std::string_view text) {
  auto value = parse_json(text, {.bytes_max = kAccessBytesMax, .depth_max = 4});
  if (!value) return fail(value.error(), "access");
  if (!value->is_object()) return fail(Errc::invalid, "access: not an object");
  const json::object& object = value->get_object();
  constexpr std::string_view kMembers[] = {"format", "cluster_id", "node_id", "lease_keys"};
  for (const auto& member : object) {
    if (std::ranges::find(kMembers, std::string_view(member.key())) == std::end(kMembers)) {
      return fail(Errc::invalid, "access: a member that it does not have");
    }
  }
  const auto format = json_int(object, "format");
  auto cluster = json_string(object, "cluster_id");
  auto node = json_string(object, "node_id");
  if (!format) return fail(format.error(), "access");
  if (*format != 1) return fail(Errc::unsupported, "access: another format");
  if (!cluster || !ClusterId::parse(*cluster)) return fail(Errc::invalid, "access: cluster_id");
  if (!node || !NodeId::parse(*node)) return fail(Errc::invalid, "access: node_id");
  auto keys = fabric::lease_keys_from_json(object);
  if (!keys) return fail(keys.error(), "access");
  const auto usable = fabric::JwsKeys::create(*keys);
  if (!usable) return fail(usable.error(), "access");
  return Access{std::move(*cluster), std::move(*node), std::move(*keys)};
}

Result<std::string> authority_of_chain(std::string_view chain_pem, std::string_view spiffe_id,
                                       SystemTime now) {
  if (chain_pem.size() > kChainBytesMax) return fail(Errc::too_large, "chain: over 64 KiB");
  auto chain = net::parse_certificates_pem(chain_pem);
  if (!chain) return fail(chain.error(), "chain");
  if (chain->size() > kChainMax) return fail(Errc::too_large, "chain: over 8 certificates");
  if (chain->size() < 2 || !chain->back().is_ca) {
    return fail(Errc::invalid, "chain: its last certificate is not the cluster's authority");
  }
  if (chain->front().spiffe_uri != spiffe_id) {
    return fail(Errc::mismatch, "chain: the certificate is not that of " + std::string(spiffe_id));
  }
  std::vector<Bytes> between;
  for (std::size_t i = 1; i + 1 < chain->size(); ++i) between.push_back((*chain)[i].der);
  std::string authority = net::certificate_der_to_pem(chain->back().der);
  const Status holds =
      net::verify_chain(chain->front().der, between, authority, net::CertificateUse::server, now);
  if (!holds) return fail(holds.error(), "chain");
  return authority;
}

Result<std::vector<std::string>> endpoints_of_config(std::string_view text) {
  std::vector<std::string> out;
  auto value = parse_json(text.empty() ? "{}" : text);
  if (!value) return fail(value.error(), "configuration");
  const json::object* object = value->if_object();
  if (object == nullptr) return fail(Errc::invalid, "configuration: not an object");
  const json::value* list = object->if_contains("endpoints");
  if (list == nullptr) return out;
  if (!list->is_array() || list->get_array().size() > 8) {
    return fail(Errc::invalid, "/endpoints: not a list of at most 8");
  }
  for (const json::value& item : list->get_array()) {
    if (!item.is_string() || !net::parse_host_port(item.get_string())) {
      return fail(Errc::invalid, "/endpoints: not host:port");
    }
    out.emplace_back(item.get_string());
  }
  return out;
}

}  // namespace rap::mesh
