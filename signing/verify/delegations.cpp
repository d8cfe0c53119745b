// Who may speak for a target path: reading delegations, matching paths, and names in files and
// URLs.
#include <algorithm>
#include <cstdio>
#include <set>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/json.hpp"
#include "signing/verify/metadata_fields.hpp"

namespace rap::tuf {
namespace {

namespace json = boost::json;

// A search tries every pattern of every role it visits.
constexpr std::size_t kRolesMax = 4096;
constexpr std::size_t kPatternsMax = 4096;
constexpr std::size_t kTargetPathMax = 1024;

bool match_segment(std::string_view pattern, std::string_view text) {
  // Backtracks to the last `*` only, so the time is at most the product of the lengths.
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// Takes the part before the next '/' off `rest`.
std::string_view next_segment(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view segment = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  return segment;
}

Result<std::vector<std::string>> read_list(const json::object& object, std::string_view key) {
  auto array = json_array(object, key);
  if (!array) return fail(Errc::malformed, std::string(key) + ": want an array");
  if ((*array)->size() > kPatternsMax) return fail(Errc::too_large, std::string(key));
  return read_strings(**array, key);
}

Result<DelegatedRole> read_role(const json::object& object) {
  DelegatedRole role;
  auto name = json_string(object, "name");
  if (!name) return fail(Errc::malformed, "name: want a string");
  if (auto status = check_role_name(*name); !status) return fail(std::move(status.error()));
  role.name = std::move(*name);
  auto keys = read_role_keys(object);
  if (!keys) return fail(keys.error(), role.name);
  role.keys = std::move(*keys);
  auto terminating = json_bool(object, "terminating");
  if (!terminating) return fail(Errc::malformed, role.name + ": terminating: want a boolean");
  role.terminating = *terminating;

  const bool by_path = object.contains("paths");
  if (by_path == object.contains("path_hash_prefixes")) {
    return fail(Errc::malformed, role.name + ": want either paths or path_hash_prefixes");
  }
  auto list = read_list(object, by_path ? "paths" : "path_hash_prefixes");
  if (!list) return fail(list.error(), role.name);
  (by_path ? role.paths : role.hash_prefixes) = std::move(*list);
  return role;
}

Result<SuccinctRoles> read_succinct(const json::object& object) {
  SuccinctRoles roles;
  auto keys = read_role_keys(object);
  if (!keys) return fail(std::move(keys.error()));
  roles.keys = std::move(*keys);
  auto bits = integer_field(object, "bit_length", 1);
  constexpr std::int64_t kBitsMax = 32;  // TAP 15
  if (!bits || *bits > kBitsMax) return fail(Errc::malformed, "bit_length: want 1 to 32");
  roles.bit_length = static_cast<int>(*bits);
  auto prefix = json_string(object, "name_prefix");
  if (!prefix) return fail(Errc::malformed, "name_prefix: want a string");
  roles.name_prefix = std::move(*prefix);
  if (auto status = check_role_name(roles.role_for("")); !status) {
    return fail(std::move(status.error()));
  }
  return roles;
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

}  // namespace

Result<Delegations> read_delegations(const json::object& object) {
  Delegations out;
  auto keys = json_object(object, "keys");
  if (!keys) return fail(Errc::malformed, "keys: want an object");
  auto ring = read_keys(**keys);
  if (!ring) return fail(std::move(ring.error()));
  out.keys = std::move(*ring);

  if (object.contains("roles") == object.contains("succinct_roles")) {
    return fail(Errc::malformed, "want either roles or succinct_roles");
  }
  if (auto member = json_object(object, "succinct_roles")) {
    auto succinct = read_succinct(**member);
    if (!succinct) return fail(succinct.error(), "succinct_roles");
    out.succinct = std::move(*succinct);
    return out;
  }
  auto roles = json_array(object, "roles");
  if (!roles) return fail(Errc::malformed, "roles: want an array");
  if ((*roles)->size() > kRolesMax) return fail(Errc::too_large, "roles");
  std::set<std::string> names;
  for (const json::value& element : **roles) {
    if (!element.is_object()) return fail(Errc::malformed, "roles: want objects");
    auto role = read_role(element.get_object());
    if (!role) return fail(std::move(role.error()));
    if (!names.insert(role->name).second) {
      return fail(Errc::malformed, "role " + role->name + " repeats");
    }
    out.roles.push_back(std::move(*role));
  }
  return out;
}

bool match_path_pattern(std::string_view pattern, std::string_view path) {
  if (std::count(pattern.begin(), pattern.end(), '/') !=
      std::count(path.begin(), path.end(), '/')) {
    return false;
  }
  for (auto left = std::count(path.begin(), path.end(), '/'); left >= 0; --left) {
    if (!match_segment(next_segment(pattern), next_segment(path))) return false;
  }
  return true;
}

bool DelegatedRole::covers(std::string_view target_path) const {
  if (std::any_of(paths.begin(), paths.end(),
                  [&](const auto& p) { return match_path_pattern(p, target_path); })) {
    return true;
  }
  if (hash_prefixes.empty()) return false;
  const std::string digest = to_hex(sha256(target_path));
  return std::any_of(hash_prefixes.begin(), hash_prefixes.end(),
                     [&](const auto& prefix) { return digest.starts_with(prefix); });
}

std::string SuccinctRoles::role_for(std::string_view target_path) const {
  const Sha256Digest digest = sha256(target_path);
  const std::uint32_t head = std::uint32_t{digest[0]} << 24 | std::uint32_t{digest[1]} << 16 |
                             std::uint32_t{digest[2]} << 8 | digest[3];
  const std::uint32_t bin = head >> (32 - bit_length);
  char text[16];
  std::snprintf(text, sizeof text, "%0*x", (bit_length + 3) / 4, bin);
  return name_prefix + "-" + text;
}

Status check_target_path(std::string_view path) {
  const auto refuse = [] { return fail(Errc::invalid, "target path: not a plain relative path"); };
  if (path.empty() || path.size() > kTargetPathMax) return refuse();
  if (std::any_of(path.begin(), path.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\';
      })) {
    return refuse();
  }
  std::string_view rest = path;
  for (auto left = std::count(path.begin(), path.end(), '/'); left >= 0; --left) {
    const std::string_view segment = next_segment(rest);
    if (segment.empty() || segment == "." || segment == "..") return refuse();
  }
  return {};
}

std::string encode_segment(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (is_unreserved(c)) {
      out += c;
      continue;
    }
    char text[4];
    std::snprintf(text, sizeof text, "%%%02X", static_cast<unsigned char>(c));
    out += text;
  }
  return out;
}

std::string encode_file_name(std::string_view name) {
  std::string out = encode_segment(name);
  if (out.starts_with('.')) out.replace(0, 1, "%2E");
  return out;
}

}  // namespace rap::tuf
