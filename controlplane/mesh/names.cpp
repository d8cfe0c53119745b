#include "controlplane/mesh/names.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/net/tcp.hpp"
#include "fabric/routing/directory_doc.hpp"

namespace rap::cp {
namespace {

constexpr std::size_t kRandomTail = 16;  // of an id: what comes after the time

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

// A DNS name of lower-case labels, the last of which is no number: "10.0.0" is not one.
bool is_dns_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  std::string_view last;
  for (std::string_view rest = name; !rest.empty() || last.empty();) {
    const auto dot = rest.find('.');
    last = rest.substr(0, dot);
    if (!is_label(last)) return false;
    if (dot == std::string_view::npos) break;
    rest = rest.substr(dot + 1);
    if (rest.empty()) return false;
  }
  return !std::ranges::all_of(last, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '+';
}

std::string host_of(std::string_view endpoint) {
  std::string_view host = endpoint.substr(0, endpoint.rfind(':'));
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  return std::string(host);
}

}  // namespace

MeshServiceId fresh_service_id() {
  const auto tail = [] {
    const std::string id = new_id_text("");
    return id.substr(id.size() - kRandomTail);
  };
  const std::string text = std::string(id_kind::MeshService::prefix) + tail() + tail().substr(6);
  return std::move(*MeshServiceId::parse(text));
}

bool is_mesh_endpoint(std::string_view text) {
  return routing::is_endpoint(text);
}

Result<std::vector<std::string>> public_endpoints(const boost::json::object& policy) {
  std::vector<std::string> out;
  const auto* config = policy.if_contains("config");
  if (config == nullptr || !config->is_object()) return out;
  const auto* list = config->get_object().if_contains("public_endpoints");
  if (list == nullptr || list->is_null()) return out;
  constexpr std::string_view kWhat = "config.public_endpoints: ";
  if (!list->is_array() || list->get_array().size() > kPublicEndpointsMax) {
    return fail(Errc::invalid, std::string(kWhat) + "want at most 8 of host:port");
  }
  for (const auto& item : list->get_array()) {
    if (!item.is_string() || !is_mesh_endpoint(item.get_string())) {
      return fail(Errc::invalid, std::string(kWhat) + "want host:port or [address]:port");
    }
    out.emplace_back(item.get_string());
  }
  if (auto hosts = certificate_hosts(out); !hosts) return fail(hosts.error());
  return out;
}

Result<std::vector<std::string>> certificate_hosts(const std::vector<std::string>& endpoints) {
  std::vector<std::string> out;
  for (const std::string& endpoint : endpoints) {
    std::string host = host_of(endpoint);
    if (!net::is_ip_literal(host) && !is_dns_name(host)) {
      return fail(Errc::invalid, "config.public_endpoints: " + host + " is no name of a host");
    }
    if (std::ranges::find(out, host) == out.end()) out.push_back(std::move(host));
  }
  return out;
}

bool is_directory_name(std::string_view text) {
  return !text.empty() && text.size() <= routing::kNameCharsMax &&
         std::ranges::all_of(text, is_name_char);
}

std::string directory_name(std::string_view text, std::string_view otherwise) {
  if (text.empty()) return std::string(otherwise);
  std::string out(text.substr(0, routing::kNameCharsMax));
  for (char& c : out) {
    if (!is_name_char(c)) c = '-';
  }
  return out;
}

}  // namespace rap::cp
