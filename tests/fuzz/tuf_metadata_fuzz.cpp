// Metadata of every role, from a repository that wants to crash its clients. What parses must also
// survive what a client does next: checking signatures, matching paths, naming files.
#include <cstddef>
#include <cstdint>
#include <string>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "signing/verify/canonical_json.hpp"
#include "signing/verify/countersignature.hpp"
#include "signing/verify/metadata.hpp"

namespace {

constexpr const char* kPath = "rel/plugin.rap.echo/0.1.0/manifest.json";

void use(const rap::tuf::Targets& targets) {
  for (const auto& [path, info] : targets.targets) {
    (void)rap::tuf::check_target_path(path).has_value();
    (void)rap::tuf::encode_file_name(path);
    (void)info.hashes.prefix();
  }
  if (!targets.delegations) return;
  for (const auto& role : targets.delegations->roles) (void)role.covers(kPath);
  if (targets.delegations->succinct) (void)targets.delegations->succinct->role_for(kPath);
}

// Canonical form is a function of the value: reading it back gives the same text again, when it is
// JSON at all (control characters make it not).
void check_canonical(std::string_view text) {
  auto value = rap::parse_json(text);
  if (!value) return;
  auto canonical = rap::tuf::canonical_json(*value);
  if (!canonical) return;
  auto back = rap::parse_json(*canonical, {.bytes_max = canonical->size()});
  if (!back) return;
  if (*rap::tuf::canonical_json(*back) != *canonical) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const rap::ByteView bytes(data, size);
  if (auto root = rap::tuf::parse_root(bytes)) {
    for (const auto& [name, role] : root->role.roles) {
      (void)rap::tuf::verify_signatures(root->proof, root->role.keys, role).has_value();
    }
  }
  (void)rap::tuf::parse_director_root(bytes).has_value();
  (void)rap::tuf::parse_timestamp(bytes).has_value();
  if (auto snapshot = rap::tuf::parse_snapshot(bytes)) {
    for (const auto& [name, meta] : snapshot->role.meta) {
      (void)rap::tuf::verify_meta_file(meta, bytes).has_value();
    }
  }
  if (auto targets = rap::tuf::parse_targets(bytes)) use(targets->role);
  check_canonical(rap::as_text(bytes));
  return 0;
}
