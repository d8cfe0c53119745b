#include "signing/sign/releases.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/json.hpp"
#include "base/semantic_version.hpp"
#include "signing/sign/director.hpp"

namespace rap::sign {
namespace {

namespace json = boost::json;

struct Variant {
  std::string os, arch, libc, target, sha256;
  std::int64_t length = 0;
};

struct Manifest {
  std::string product;
  std::string version;
  std::int64_t release_seq = 0;
  std::int64_t security_epoch = 0;
  std::optional<std::int64_t> abi_major;
  std::vector<Variant> variants;

  std::string directory() const { return "rel/" + product + "/" + version + "/"; }
};

tl::unexpected<Error> bad_manifest(std::string_view what) {
  return fail(Errc::invalid, "manifest: " + std::string(what));
}

Result<Variant> read_variant(const json::value& value, const std::string& directory) {
  if (!value.is_object()) return bad_manifest("variants: want objects");
  Variant variant;
  const std::pair<const char*, std::string*> texts[] = {{"os", &variant.os},
                                                        {"arch", &variant.arch},
                                                        {"libc", &variant.libc},
                                                        {"target", &variant.target},
                                                        {"sha256", &variant.sha256}};
  for (const auto& [name, out] : texts) {
    auto text = json_string(value.get_object(), name);
    if (!text) return bad_manifest("variants: want " + std::string(name));
    *out = std::move(*text);
  }
  auto length = json_int(value.get_object(), "length");
  if (!length || *length < 0) return bad_manifest("variants: want length");
  variant.length = *length;
  if (!variant.target.starts_with(directory) ||
      !is_plain_name(std::string_view(variant.target).substr(directory.size()))) {
    return bad_manifest("target " + variant.target + " is not a plain name under " + directory);
  }
  return variant;
}

Result<Manifest> read_manifest(ByteView bytes) {
  if (bytes.size() > kManifestMax) return fail(Errc::too_large, "manifest");
  auto value = parse_json(as_text(bytes), {.bytes_max = kManifestMax});
  if (!value) return fail(value.error(), "manifest");
  if (!value->is_object()) return bad_manifest("want an object");
  const json::object& object = value->get_object();
  Manifest manifest;
  if (json_int_or_none(object, "format") != 1) return bad_manifest("want format 1");
  manifest.product = json_string_or_none(object, "product").value_or("");
  manifest.version = json_string_or_none(object, "version").value_or("");
  if (!is_plain_name(manifest.product) || !is_plain_name(manifest.version)) {
    return bad_manifest("want plain names as product and version");
  }
  if (!is_semantic_version(manifest.version)) {
    return bad_manifest("version \"" + manifest.version +
                        "\" is not a semantic version such as 1.4.0");
  }
  manifest.release_seq = json_int_or_none(object, "release_seq").value_or(0);
  manifest.security_epoch = json_int_or_none(object, "security_epoch").value_or(-1);
  if (manifest.release_seq < 1 || manifest.release_seq > tuf::kIntegerMax) {
    return bad_manifest("want release_seq of at least 1");
  }
  if (manifest.security_epoch < 0 || manifest.security_epoch > tuf::kIntegerMax) {
    return bad_manifest("want security_epoch");
  }
  if (auto plugin = json_object(object, "plugin")) {
    manifest.abi_major = json_int_or_none(**plugin, "abi_major");
  }
  auto variants = json_array(object, "variants");
  if (!variants || (*variants)->empty()) return bad_manifest("want variants");
  for (const json::value& element : **variants) {
    auto variant = read_variant(element, manifest.directory());
    if (!variant) return fail(std::move(variant.error()));
    manifest.variants.push_back(std::move(*variant));
  }
  return manifest;
}

json::object target_object(std::int64_t length, const std::string& sha256, json::object custom) {
  json::object object;
  object["length"] = length;
  object["hashes"] = json::object{{"sha256", sha256}};
  object["custom"] = std::move(custom);
  return object;
}

json::object custom_of(const Manifest& manifest, const char* kind) {
  json::object custom;
  custom["kind"] = kind;
  custom["product"] = manifest.product;
  custom["version"] = manifest.version;
  custom["release_seq"] = manifest.release_seq;
  custom["security_epoch"] = manifest.security_epoch;
  if (manifest.abi_major) custom["plugin_abi"] = *manifest.abi_major;
  return custom;
}

std::string sha_of(const Bytes& bytes) {
  return to_hex(sha256(ByteView(bytes)));
}

// Which of the given artifacts is which variant: none missing, none left over.
Result<std::vector<const Bytes*>> match_artifacts(const Manifest& manifest,
                                                  const std::vector<Bytes>& artifacts) {
  std::map<std::string, const Bytes*> by_digest;
  for (const Bytes& artifact : artifacts) by_digest[sha_of(artifact)] = &artifact;
  std::set<std::string> used;
  std::vector<const Bytes*> out;
  for (const Variant& variant : manifest.variants) {
    const auto found = by_digest.find(variant.sha256);
    if (found == by_digest.end()) {
      return fail(Errc::mismatch, variant.target + ": no artifact has SHA-256 " + variant.sha256);
    }
    if (static_cast<std::int64_t>(found->second->size()) != variant.length) {
      return fail(Errc::mismatch, variant.target + ": the manifest gives another length");
    }
    used.insert(variant.sha256);
    out.push_back(found->second);
  }
  if (used.size() != by_digest.size()) {
    return fail(Errc::mismatch, "an artifact is no variant of the manifest");
  }
  return out;
}

// release_seq orders the releases of a product, so it may not repeat or go back.
Status check_sequence(const tuf::Targets& listed, const Manifest& manifest) {
  const std::string prefix = "rel/" + manifest.product + "/";
  for (const auto& [path, info] : listed.targets) {
    if (!path.starts_with(prefix) || !path.ends_with("/manifest.json")) continue;
    auto custom = parse_json(info.custom);
    if (!custom || !custom->is_object()) continue;
    const auto seq = json_int_or_none(custom->get_object(), "release_seq");
    if (seq && *seq >= manifest.release_seq) {
      return fail(Errc::invalid, "release_seq " + std::to_string(manifest.release_seq) +
                                     " is not above " + std::to_string(*seq) + " of " + path);
    }
  }
  return {};
}

tl::unexpected<Error> changed(const std::string& path, const std::string& published,
                              const std::string& given) {
  return fail(Errc::conflict, path + " is published with SHA-256 " + published +
                                  ", the given file has " + given +
                                  "; a release never changes, give it a new version");
}

// Is what is given of a published version what was published?
Status check_unchanged(const tuf::TargetInfo& published, const Bytes& manifest_bytes,
                       const Manifest& manifest, const std::vector<Bytes>& artifacts) {
  if (published.length != static_cast<std::int64_t>(manifest_bytes.size()) ||
      published.sha256() != sha_of(manifest_bytes)) {
    return changed(published.path, published.sha256(), sha_of(manifest_bytes));
  }
  for (const Bytes& artifact : artifacts) {
    const std::string given = sha_of(artifact);
    const bool known = std::any_of(manifest.variants.begin(), manifest.variants.end(),
                                   [&](const Variant& one) { return one.sha256 == given; });
    if (!known) {
      return changed(manifest.variants.front().target, manifest.variants.front().sha256, given);
    }
  }
  return {};
}

}  // namespace

Result<ReleaseResult> add_release(Change& change, const ReleaseRepository& repository,
                                  const Bytes& manifest_bytes,
                                  const std::vector<Bytes>& artifacts) {
  auto manifest = read_manifest(manifest_bytes);
  if (!manifest) return fail(std::move(manifest.error()));
  const std::string manifest_path = manifest->directory() + "manifest.json";
  auto role = repository.role_for_path(manifest_path);
  if (!role) return fail(std::move(role.error()));
  auto listed = repository.role_targets(*role);
  if (!listed) return fail(std::move(listed.error()));

  ReleaseResult out{manifest->product, manifest->version, *role, {}, false};
  out.targets.push_back(
      {manifest_path, static_cast<std::int64_t>(manifest_bytes.size()), sha_of(manifest_bytes)});
  for (const Variant& variant : manifest->variants) {
    out.targets.push_back({variant.target, variant.length, variant.sha256});
  }
  if (const auto old = listed->targets.find(manifest_path); old != listed->targets.end()) {
    Status same = check_unchanged(old->second, manifest_bytes, *manifest, artifacts);
    if (!same) return fail(std::move(same.error()));
    out.already_published = true;
    return out;
  }
  auto files = match_artifacts(*manifest, artifacts);
  if (!files) return fail(std::move(files.error()));
  if (auto status = check_sequence(*listed, *manifest); !status) {
    return fail(std::move(status.error()));
  }

  json::object& body = change.edit(*role);
  json::object& targets = body["targets"].as_object();
  const auto list = [&](const ListedTarget& target, const Bytes& bytes,
                        json::object custom) -> Status {
    if (auto status = repository.add_target_file(target.path, bytes); !status) return status;
    targets[target.path] = target_object(target.length, target.sha256, std::move(custom));
    return {};
  };
  if (auto s = list(out.targets[0], manifest_bytes, custom_of(*manifest, "manifest")); !s) {
    return fail(std::move(s.error()));
  }
  for (std::size_t i = 0; i < manifest->variants.size(); ++i) {
    const Variant& variant = manifest->variants[i];
    json::object custom = custom_of(*manifest, "artifact");
    custom["os"] = variant.os;
    custom["arch"] = variant.arch;
    custom["libc"] = variant.libc;
    if (auto s = list(out.targets[i + 1], *(*files)[i], std::move(custom)); !s) {
      return fail(std::move(s.error()));
    }
  }
  return out;
}

namespace {

// The SHA-256 of a release's manifest, in this change or published.
Result<std::string> manifest_digest(const Change& change, const ReleaseRepository& repository,
                                    const ChannelSpec& spec) {
  const std::string path = "rel/" + spec.product + "/" + spec.version + "/manifest.json";
  auto role = repository.role_for_path(path);
  if (!role) return fail(std::move(role.error()));
  const auto draft = change.drafts().find(*role);
  const Draft* source = draft != change.drafts().end() ? &draft->second : repository.current(*role);
  if (source != nullptr) {
    auto document = tuf::parse_targets(as_bytes(source->file()), *role);
    if (!document) return fail(std::move(document.error()));
    const auto found = document->role.targets.find(path);
    if (found != document->role.targets.end()) return found->second.sha256();
  }
  return fail(Errc::not_found, path + " is not published");
}

// The history of the new document: what the old one had, and the version it named.
Result<json::array> channel_history(const ReleaseRepository& repository, const std::string& role,
                                    const std::string& path, const std::string& version) {
  json::array history;
  auto listed = repository.role_targets(role);
  if (!listed) return fail(std::move(listed.error()));
  const auto old = listed->targets.find(path);
  if (old == listed->targets.end()) return history;
  auto text = read_text_file(
      repository.targets_dir() / consistent_target_name(path, old->second.sha256()), kManifestMax);
  if (!text) return fail(std::move(text.error()));
  auto value = parse_json(*text);
  if (!value || !value->is_object()) return fail(Errc::malformed, path);
  if (auto earlier = json_array(value->get_object(), "history")) history = **earlier;
  const auto named = json_string_or_none(value->get_object(), "version");
  if (named) history.push_back(json::value(*named));
  // Newest last, each once, never the one that is current.
  json::array out;
  for (const json::value& entry : history) {
    if (entry != json::value(version) && std::find(out.begin(), out.end(), entry) == out.end()) {
      out.push_back(entry);
    }
  }
  return out;
}

}  // namespace

Result<ListedTarget> set_channel(Change& change, const ReleaseRepository& repository,
                                 const ChannelSpec& spec) {
  static const std::set<std::string> kChannels = {"stable", "current", "candidate"};
  if (!is_plain_name(spec.product) || !is_plain_name(spec.version) ||
      !kChannels.contains(spec.channel) || spec.min_epoch < 0) {
    return fail(Errc::invalid, "channel: want product, version and stable, current or candidate");
  }
  const std::string path = "channels/" + spec.product + "/" + spec.channel + ".json";
  auto role = repository.role_for_path(path);
  if (!role) return fail(std::move(role.error()));
  auto digest = manifest_digest(change, repository, spec);
  if (!digest) return fail(std::move(digest.error()));
  auto history = channel_history(repository, *role, path, spec.version);
  if (!history) return fail(std::move(history.error()));

  json::object document;
  document["format"] = 1;
  document["product"] = spec.product;
  document["channel"] = spec.channel;
  document["version"] = spec.version;
  document["manifest_sha256"] = *digest;
  document["history"] = std::move(*history);
  document["min_epoch"] = spec.min_epoch;
  const Bytes bytes = to_bytes(json::serialize(document) + "\n");
  if (auto status = repository.add_target_file(path, bytes); !status) {
    return fail(std::move(status.error()));
  }
  ListedTarget listed{path, static_cast<std::int64_t>(bytes.size()), sha_of(bytes)};
  json::object custom{{"kind", "channel"},
                      {"product", spec.product},
                      {"channel", spec.channel},
                      {"version", spec.version}};
  change.edit(*role)["targets"].as_object()[path] =
      target_object(listed.length, listed.sha256, std::move(custom));
  return listed;
}

}  // namespace rap::sign
