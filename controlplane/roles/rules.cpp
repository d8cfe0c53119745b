#include "controlplane/roles/rules.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <boost/json.hpp>

namespace rap::cp {
namespace {

struct PlatformRole {
  std::string_view role;
  std::string_view capability;
};
// The seed's names; the ones that do not follow the pattern are why this is a table.
constexpr std::array kPlatformRoles = {
    PlatformRole{"entry-node", "can_accept_client_ingress"},
    PlatformRole{"relay-node", "can_route_mesh"},
    PlatformRole{"rdp-worker", "can_run_rdp_worker"},
    PlatformRole{"vnc-worker", "can_run_vnc_worker"},
    PlatformRole{"ssh-worker", "can_run_ssh_worker"},
    PlatformRole{"vpn-exit", "can_run_vpn_exit"},
    PlatformRole{"vpn-connector", "can_run_vpn_connector"},
    PlatformRole{"file-storage-cache", "can_run_file_cache"},
    PlatformRole{"update-cache", "can_run_update_cache"},
    PlatformRole{"video-relay", "can_run_video_relay"},
};

// As host/agent/snapshot/snapshots.cpp takes them.
constexpr std::size_t kProductMax = 128;
constexpr std::size_t kVersionMax = 64;
// The longest of stable, current and candidate, with room for one of an owner's.
constexpr std::size_t kChannelMax = 64;

// Empty: it is one.
std::string check_path_word(const boost::json::value& value, std::size_t max) {
  if (!value.is_string()) return "must be a string";
  const std::string_view text = value.get_string();
  const bool good = !text.empty() && text.size() <= max && text.find("..") == text.npos &&
                    text != "." && std::ranges::all_of(text, [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '+';
                    });
  if (good) return {};
  return "1 to " + std::to_string(max) + " of A-Z, a-z, 0-9, '-', '.', '_' and '+'";
}

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

}  // namespace

bool is_role_name(std::string_view role) {
  if (role.empty() || role.size() > 40 || role.front() == '-' || role.back() == '-') return false;
  return std::ranges::all_of(
      role, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

bool is_platform_role(std::string_view role) {
  return std::ranges::any_of(kPlatformRoles, [&](const auto& r) { return r.role == role; });
}

std::string capability_of_role(std::string_view role) {
  for (const PlatformRole& known : kPlatformRoles) {
    if (known.role == role) return std::string(known.capability);
  }
  return "can_run_plugins";
}

std::optional<std::string> protocol_of_role(std::string_view role) {
  constexpr std::string_view kWorker = "-worker";
  if (!role.ends_with(kWorker) || role.size() == kWorker.size()) return std::nullopt;
  return std::string(role.substr(0, role.size() - kWorker.size()));
}

std::vector<std::string> manifest_roles(const boost::json::object& manifest) {
  std::vector<std::string> roles;
  const auto* plugin = manifest.if_contains("plugin");
  if (plugin == nullptr || !plugin->is_object()) return roles;
  const auto* adapters = plugin->get_object().if_contains("adapters");
  if (adapters == nullptr || !adapters->is_array()) return roles;
  for (const auto& adapter : adapters->get_array()) {
    if (!adapter.is_object()) continue;
    const auto* names = adapter.get_object().if_contains("roles");
    if (names == nullptr || !names->is_array()) continue;
    for (const auto& name : names->get_array()) {
      if (name.is_string()) roles.emplace_back(name.get_string());
    }
  }
  return roles;
}

Status check_role(std::string_view role, const std::vector<std::string>& release_roles) {
  if (is_platform_role(role) || (is_role_name(role) && contains(release_roles, role))) return {};
  std::set<std::string_view> known(release_roles.begin(), release_roles.end());
  for (const PlatformRole& platform : kPlatformRoles) known.insert(platform.role);
  std::string names;
  for (const std::string_view name : known) (names += names.empty() ? "" : ", ") += name;
  return fail(Errc::invalid, "no such role: " + std::string(role) +
                                 "; there are those of the platform and of releases in Version "
                                 "Storage: " +
                                 names);
}

std::optional<PolicyFault> check_policy(const boost::json::object& policy) {
  for (const auto& member : policy) {
    const std::string_view key = member.key();
    const boost::json::value& value = member.value();
    const std::size_t max = key == "product"   ? kProductMax
                            : key == "version" ? kVersionMax
                            : key == "channel" ? kChannelMax
                                               : 0;
    std::string wrong;
    if (max == 0 && key != "config") {
      wrong = "is not a member of policy; there are product, version, channel and config";
    } else if (value.is_null()) {
      continue;
    } else if (max > 0) {
      wrong = check_path_word(value, max);
    } else if (!value.is_object()) {
      wrong = "must be an object";
    }
    if (!wrong.empty()) return PolicyFault{std::string(key), std::move(wrong)};
  }
  return std::nullopt;
}

Status check_assignment(const AssignmentRequest& r) {
  if (auto known = check_role(r.role, r.release_roles); !known) return known;
  if (!r.node_in_cluster) return fail(Errc::not_found, "the node is not a member of this cluster");
  if (r.membership_status != "active") {
    return fail(Errc::conflict, "the node is " + r.membership_status + " in this cluster");
  }
  const std::string needed = capability_of_role(r.role);
  if (!contains(r.capabilities, needed)) {
    return fail(Errc::unsupported, "the node cannot do it: it does not report " + needed);
  }
  if (r.organization_given && !r.organization_active) {
    return fail(Errc::forbidden, "the organization is not known or not active");
  }
  if (r.already_assigned) {
    return fail(Errc::conflict, "the node has this role for this organization already");
  }
  return {};
}

}  // namespace rap::cp
