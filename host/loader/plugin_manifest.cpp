#include "host/loader/plugin_manifest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "rap/plugin.h"

namespace rap::loader {
namespace {

namespace json = boost::json;

constexpr std::size_t kVariantsMax = 16;
constexpr std::size_t kTextMax = 512;

// Reads members one after the other and remembers the first that is wrong, so that a parser reads
// like the document it parses.
class Members {
 public:
  Members(const json::object& object, std::string where, Status& status)
      : object_(object), where_(std::move(where)), status_(status) {}

  void text(std::string& out, std::string_view key) { take(json_string(object_, key), out, key); }
  void boolean(bool& out, std::string_view key) { take(json_bool(object_, key), out, key); }
  template <typename Integer>
  void number(Integer& out, std::string_view key, std::int64_t least, std::int64_t most) {
    std::int64_t value = 0;
    take(json_int(object_, key), value, key);
    if (status_ && (value < least || value > most)) {
      status_ = fail(Errc::invalid, fmt::format("{}{}: {}", where_, key, value));
    }
    out = static_cast<Integer>(value);
  }
  void texts(std::vector<std::string>& out, std::string_view key) {
    for (const json::value& item : array(key, kAdapterListMax)) {
      if (!item.is_string() || item.get_string().size() > kTextMax) {
        status_ = fail(Errc::invalid, fmt::format("{}{}: not a list of names", where_, key));
        return;
      }
      out.emplace_back(item.get_string());
    }
  }
  // Empty when something was wrong.
  const json::array& array(std::string_view key, std::size_t most) {
    static const json::array none;
    const json::array* found = nullptr;
    take(json_array(object_, key), found, key);
    if (!status_) return none;
    if (found->size() <= most) return *found;
    status_ = fail(Errc::invalid, fmt::format("{}{}: too long", where_, key));
    return none;
  }

 private:
  template <typename From, typename To>
  void take(Result<From> from, To& to, std::string_view key) {
    if (!status_) return;
    if (!from) {
      status_ = fail(from.error(), where_);
      return;
    }
    if constexpr (std::is_same_v<From, std::string>) {
      if (from->size() > kTextMax) {
        status_ = fail(Errc::invalid, fmt::format("{}{}: too long", where_, key));
        return;
      }
    }
    to = std::move(*from);
  }

  const json::object& object_;
  std::string where_;
  Status& status_;
};

const json::object& object_of(const json::value& value, std::string_view what, Status& status) {
  static const json::object none;
  if (value.is_object()) return value.get_object();
  if (status) status = fail(Errc::invalid, fmt::format("{}: not an object", what));
  return none;
}

ManifestVariant parse_variant(const json::value& value, Status& status) {
  ManifestVariant out;
  std::string digest;
  Members members(object_of(value, "variants", status), "variants: ", status);
  members.text(out.os, "os");
  members.text(out.arch, "arch");
  members.text(out.libc, "libc");
  members.text(out.target, "target");
  members.number(out.length, "length", 1, std::int64_t{1} << 40);
  members.text(digest, "sha256");
  if (!status) return out;
  const auto bytes = from_hex(digest);
  if (!bytes || bytes->size() != out.sha256.size()) {
    status = fail(Errc::invalid, "variants: sha256");
    return out;
  }
  std::ranges::copy(*bytes, out.sha256.begin());
  return out;
}

AdapterFacts parse_adapter(const json::value& value, Status& status) {
  AdapterFacts out;
  Members members(object_of(value, "adapters", status), "adapters: ", status);
  members.text(out.id, "id");
  members.texts(out.roles, "roles");
  members.texts(out.needs, "needs");
  members.texts(out.wants, "wants");
  members.texts(out.provides, "provides");
  members.text(out.profile, "profile");
  members.number(out.share, "share", 0, 255);
  members.boolean(out.fork_safe, "fork_safe");
  if (status) {
    if (auto ok = check_adapter_facts(out); !ok) status = fail(ok.error());
  }
  return out;
}

void parse_plugin(const json::object& object, PluginManifest& out, Status& status) {
  Members members(object, "plugin: ", status);
  members.number(out.abi_major, "abi_major", 1, 99);
  for (const json::value& item : members.array("adapters", kAdaptersMax)) {
    AdapterFacts adapter = parse_adapter(item, status);
    if (!status) return;
    for (const AdapterFacts& other : out.adapters) {
      if (other.id == adapter.id) {
        status = fail(Errc::invalid, "adapters: two with the id " + adapter.id);
        return;
      }
    }
    out.adapters.push_back(std::move(adapter));
  }
  for (const json::value& item : members.array("dt_needed", kElfNeededMax)) {
    if (!item.is_string()) {
      status = fail(Errc::invalid, "plugin: dt_needed: not a list of names");
      return;
    }
    out.dt_needed.emplace_back(item.get_string());
  }
  if (status && out.adapters.empty()) status = fail(Errc::invalid, "plugin: no adapters");
}

json::array to_array(const std::vector<std::string>& texts) {
  return json::array(texts.begin(), texts.end());
}

json::object to_object(const AdapterFacts& adapter) {
  return {{"id", adapter.id},
          {"roles", to_array(adapter.roles)},
          {"needs", to_array(adapter.needs)},
          {"wants", to_array(adapter.wants)},
          {"provides", to_array(adapter.provides)},
          {"profile", adapter.profile},
          {"share", adapter.share},
          {"fork_safe", adapter.fork_safe}};
}

std::set<std::string> as_set(const std::vector<std::string>& list) {
  return {list.begin(), list.end()};
}

tl::unexpected<Error> differs(std::string_view what, std::string_view manifest,
                              std::string_view found) {
  return fail(Errc::mismatch,
              fmt::format("{}: the manifest says {}, the plugin says {}", what, manifest, found));
}

Status same_list(const std::string& what, const std::vector<std::string>& manifest,
                 const std::vector<std::string>& found) {
  const auto signed_set = as_set(manifest);
  const auto found_set = as_set(found);
  if (signed_set == found_set) return {};
  return differs(what, fmt::format("[{}]", fmt::join(signed_set, ", ")),
                 fmt::format("[{}]", fmt::join(found_set, ", ")));
}

Status match_adapter(const AdapterFacts& manifest, const AdapterFacts& loaded) {
  const std::string where = manifest.id + ": ";
  if (auto ok = same_list(where + "roles", manifest.roles, loaded.roles); !ok) return ok;
  if (auto ok = same_list(where + "needs", manifest.needs, loaded.needs); !ok) return ok;
  if (auto ok = same_list(where + "wants", manifest.wants, loaded.wants); !ok) return ok;
  if (auto ok = same_list(where + "provides", manifest.provides, loaded.provides); !ok) return ok;
  if (manifest.profile != loaded.profile) {
    return differs(where + "profile", manifest.profile, loaded.profile);
  }
  if (manifest.share != loaded.share) {
    return differs(where + "share", std::to_string(manifest.share), std::to_string(loaded.share));
  }
  if (manifest.fork_safe != loaded.fork_safe) {
    return differs(where + "fork_safe", manifest.fork_safe ? "true" : "false",
                   loaded.fork_safe ? "true" : "false");
  }
  return {};
}

}  // namespace

Result<PluginManifest> parse_plugin_manifest(std::string_view text) {
  auto value = parse_json(text, {.bytes_max = kManifestBytesMax, .depth_max = 8});
  if (!value) return fail(value.error(), "manifest");
  Status status;
  PluginManifest out;
  Members members(object_of(*value, "manifest", status), "manifest: ", status);
  int format = 0;
  members.number(format, "format", 1, 1);
  members.text(out.product, "product");
  members.text(out.version, "version");
  members.number(out.release_seq, "release_seq", 1, INT64_MAX);
  members.number(out.security_epoch, "security_epoch", 0, INT64_MAX);
  members.text(out.built_from, "built_from");
  for (const json::value& item : members.array("variants", kVariantsMax)) {
    out.variants.push_back(parse_variant(item, status));
  }
  if (!status) return fail(status.error());
  auto plugin = json_object(value->get_object(), "plugin");
  if (!plugin) return fail(plugin.error(), "manifest");
  parse_plugin(**plugin, out, status);
  if (!status) return fail(status.error());
  return out;
}

std::string to_json(const PluginManifest& manifest) {
  json::array variants;
  for (const ManifestVariant& variant : manifest.variants) {
    variants.push_back(json::object{{"os", variant.os},
                                    {"arch", variant.arch},
                                    {"libc", variant.libc},
                                    {"target", variant.target},
                                    {"length", variant.length},
                                    {"sha256", to_hex(variant.sha256)}});
  }
  json::array adapters;
  for (const AdapterFacts& adapter : manifest.adapters) adapters.push_back(to_object(adapter));
  json::object plugin{{"abi_major", manifest.abi_major},
                      {"adapters", std::move(adapters)},
                      {"dt_needed", to_array(manifest.dt_needed)}};
  return json::serialize(json::object{{"format", 1},
                                      {"product", manifest.product},
                                      {"version", manifest.version},
                                      {"release_seq", manifest.release_seq},
                                      {"security_epoch", manifest.security_epoch},
                                      {"built_from", manifest.built_from},
                                      {"variants", std::move(variants)},
                                      {"plugin", std::move(plugin)}});
}

std::string this_arch() {
#if defined(__x86_64__)
  return "x86_64";
#else
  return "aarch64";
#endif
}

Result<ManifestVariant> variant_for_this_machine(const PluginManifest& manifest) {
  for (const ManifestVariant& variant : manifest.variants) {
    if (variant.os == "linux" && variant.arch == this_arch() && variant.libc == "glibc") {
      return variant;
    }
  }
  return fail(Errc::unsupported, "manifest: no variant for linux, " + this_arch() + ", glibc");
}

Status match_file(const PluginManifest& manifest, std::uint64_t length,
                  const Sha256Digest& sha256) {
  auto variant = variant_for_this_machine(manifest);
  if (!variant) return fail(variant.error());
  if (variant->length != length) {
    return differs("length", std::to_string(variant->length), std::to_string(length));
  }
  if (variant->sha256 != sha256) return differs("sha256", to_hex(variant->sha256), to_hex(sha256));
  return {};
}

Status match_elf(const PluginManifest& manifest, const ElfFacts& facts) {
  const bool exports_major = std::ranges::any_of(facts.exported, [&](const ElfSymbol& symbol) {
    return plugin_symbol_major(symbol.name) == manifest.abi_major;
  });
  if (!exports_major) {
    return fail(Errc::mismatch, fmt::format("the manifest says ABI major {}, the plugin exports no "
                                            "rap_plugin_v{}",
                                            manifest.abi_major, manifest.abi_major));
  }
  return same_list("dt_needed", manifest.dt_needed, facts.needed);
}

Status match_adapters(const PluginManifest& manifest, const std::vector<AdapterFacts>& loaded) {
  const auto ids = [](const std::vector<AdapterFacts>& adapters) {
    std::vector<std::string> out;
    for (const AdapterFacts& adapter : adapters) out.push_back(adapter.id);
    return out;
  };
  if (manifest.abi_major != RAP_ABI_MAJOR) {
    return differs("abi_major", std::to_string(manifest.abi_major), std::to_string(RAP_ABI_MAJOR));
  }
  if (auto ok = same_list("adapters", ids(manifest.adapters), ids(loaded)); !ok) return ok;
  for (const AdapterFacts& wanted : manifest.adapters) {
    const auto found = std::ranges::find(loaded, wanted.id, &AdapterFacts::id);
    if (auto ok = match_adapter(wanted, *found); !ok) return ok;
  }
  return {};
}

Result<ElfFacts> verify_plugin_file(const PluginManifest& manifest, ByteView file,
                                    const Sha256Digest& sha256) {
  if (auto ok = match_file(manifest, file.size(), sha256); !ok) return fail(ok.error());
  auto facts = check_plugin_elf(file);
  if (!facts) return facts;
  if (auto ok = match_elf(manifest, *facts); !ok) return fail(ok.error());
  return facts;
}

}  // namespace rap::loader
