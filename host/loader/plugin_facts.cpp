#include "host/loader/plugin_facts.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "rap/plugin.h"

namespace rap::loader {
namespace {

constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz0123456789";

bool made_of(std::string_view text, std::string_view extra, std::size_t longest) {
  return !text.empty() && text.size() <= longest && std::ranges::all_of(text, [&](char c) {
    return kLower.find(c) != kLower.npos || extra.find(c) != extra.npos;
  });
}

template <typename Is>
Status check_list(const std::vector<std::string>& list, std::string_view member, Is is_good) {
  if (list.size() > kAdapterListMax) return fail(Errc::invalid, std::string(member) + ": too many");
  std::set<std::string_view> seen;
  for (const std::string& name : list) {
    if (!is_good(name)) {
      return fail(Errc::invalid, std::string(member) + ": \"" + name.substr(0, 80) + "\"");
    }
    if (!seen.insert(name).second)
      return fail(Errc::invalid, std::string(member) + ": twice " + name);
  }
  return {};
}

}  // namespace

bool is_adapter_id(std::string_view text) {
  return made_of(text, ".-", 64);
}

bool is_role_name(std::string_view text) {
  return made_of(text, "-", 64);
}

bool is_profile(std::string_view text) {
  return text == "net.none" || text == "net.client" || text == "net.tun";
}

bool is_extension_id(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return false;
  const std::string_view revision = text.substr(slash + 1);
  return made_of(text.substr(0, slash), ".-", 96) && !revision.empty() && revision.size() <= 4 &&
         revision[0] != '0' &&
         std::ranges::all_of(revision, [](char c) { return c >= '0' && c <= '9'; });
}

Status check_adapter_facts(const AdapterFacts& facts) {
  if (!is_adapter_id(facts.id)) {
    return fail(Errc::invalid, "id: [a-z0-9.-], 1 to 64 bytes: \"" + facts.id.substr(0, 80) + "\"");
  }
  const std::string where = "adapter " + facts.id;
  const auto check = [&](Status status) -> Status {
    if (!status) return fail(status.error(), where);
    return {};
  };
  if (auto ok = check(check_list(facts.roles, "roles", is_role_name)); !ok) return ok;
  if (auto ok = check(check_list(facts.needs, "needs", is_extension_id)); !ok) return ok;
  if (auto ok = check(check_list(facts.wants, "wants", is_extension_id)); !ok) return ok;
  if (auto ok = check(check_list(facts.provides, "provides", is_extension_id)); !ok) return ok;
  for (const std::string& id : facts.wants) {
    if (std::ranges::count(facts.needs, id)) {
      return fail(Errc::invalid, where + ": both needs and wants " + id);
    }
  }
  if (!is_profile(facts.profile)) {
    return fail(Errc::invalid, where + ": profile \"" + facts.profile.substr(0, 80) + "\"");
  }
  if (facts.share != RAP_SHARE_WORKLOAD && facts.share != RAP_SHARE_SESSION) {
    return fail(Errc::invalid, where + ": share " + std::to_string(facts.share));
  }
  return {};
}

}  // namespace rap::loader
