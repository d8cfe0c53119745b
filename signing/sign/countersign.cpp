#include "signing/sign/countersign.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "signing/sign/draft.hpp"

namespace rap::sign {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::ranges::find(list, text) != list.end();
}

void take(Draft& into, const Draft& from, const std::vector<std::string>& key_ids) {
  for (const std::string& id : key_ids) into.set_signature(id, from.signatures().at(id));
}

}  // namespace

Result<Countersigned> add_countersignatures(std::string_view stored, ByteView offered,
                                            const tuf::Targets& release) {
  auto before = tuf::parse_director_root(as_bytes(stored));
  if (!before) return fail(before.error(), "stored");
  auto gained = tuf::parse_root(offered);
  if (!gained) return fail(std::move(gained.error()));
  if (gained->proof.canonical != before->proof.canonical) {
    return fail(Errc::mismatch, "what is signed is not the root of this cluster's director");
  }
  auto known = tuf::count_countersignatures(before->proof, release);
  auto fresh = tuf::count_countersignatures(gained->proof, release);
  if (!known || !fresh) return fail(known ? std::move(fresh.error()) : std::move(known.error()));

  auto stored_draft = Draft::parse(as_bytes(stored));
  auto offered_draft = Draft::parse(offered);
  if (!stored_draft) return fail(std::move(stored_draft.error()));
  if (!offered_draft) return fail(std::move(offered_draft.error()));
  for (const auto& [id, signature] : offered_draft->signatures()) {
    if (contains(fresh->key_ids, id) || stored_draft->signatures().contains(id)) continue;
    return fail(Errc::bad_signature, "the signature of key " + id.substr(0, 64) +
                                         " is wrong, or the key is not of the role `trust`");
  }
  const tuf::Root& root = before->role;
  Draft merged = *stored_draft;
  merged.clear_signatures();
  take(merged, *stored_draft, tuf::valid_signers(before->proof, root.keys, root.roles.at("root")));
  take(merged, *stored_draft, known->key_ids);
  take(merged, *offered_draft, fresh->key_ids);

  Countersigned out;
  out.document = merged.file();
  auto after = tuf::parse_director_root(as_bytes(out.document));
  if (!after) return fail(std::move(after.error()));
  auto count = tuf::count_countersignatures(after->proof, release);
  if (!count) return fail(std::move(count.error()));
  out.count = std::move(*count);
  return out;
}

}  // namespace rap::sign
