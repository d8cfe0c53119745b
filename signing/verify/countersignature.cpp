#include "signing/verify/countersignature.hpp"

#include <algorithm>

#include "base/id.hpp"

namespace rap::tuf {

Result<Document<Root>> parse_director_root(ByteView bytes) {
  auto document = parse_root(bytes);
  if (!document) return document;
  const Root& root = document->role;
  if (root.version != 1) {
    return fail(Errc::mismatch, "director root: version " + std::to_string(root.version) +
                                    ", only the first is countersigned");
  }
  // Strict, because people read it on a terminal before they sign.
  if (!ClusterId::parse(root.cluster_id)) {
    return fail(Errc::mismatch, "director root: names no cluster");
  }
  auto itself = verify_signatures(document->proof, root.keys, root.roles.at("root"));
  if (!itself) return fail(itself.error(), "director root by its own keys");
  return document;
}

Result<Countersignatures> count_countersignatures(const SignedBytes& director_root,
                                                  const Targets& release) {
  if (release.delegations) {
    const auto& roles = release.delegations->roles;
    const auto trust = std::ranges::find_if(
        roles, [](const DelegatedRole& role) { return role.name == kTrustRole; });
    if (trust != roles.end()) {
      return Countersignatures{valid_signers(director_root, release.delegations->keys, trust->keys),
                               trust->keys.threshold};
    }
  }
  return fail(Errc::not_found, "the release repository has no role `trust`");
}

Result<Document<Root>> check_countersigned_root(ByteView bytes, std::string_view cluster_id,
                                                const Targets& release) {
  auto document = parse_director_root(bytes);
  if (!document) return document;
  const std::string cluster(cluster_id);
  if (document->role.cluster_id != cluster) {
    return fail(Errc::mismatch,
                "director root: of " + document->role.cluster_id + ", not of " + cluster);
  }
  auto count = count_countersignatures(document->proof, release);
  if (!count)
    return fail(Errc::bad_signature, "director root of " + cluster + ": " + count.error().detail);
  if (!count->enough()) {
    return fail(Errc::bad_signature, "director root of " + cluster + ": " +
                                         std::to_string(count->key_ids.size()) + " of " +
                                         std::to_string(count->threshold) +
                                         " signatures of the release repository's role `trust`");
  }
  return document;
}

}  // namespace rap::tuf
