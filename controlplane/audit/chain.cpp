#include "controlplane/audit/chain.hpp"

#include <fmt/format.h>

namespace rap::cp {
namespace {

void add(Sha256& hash, std::string_view field) {
  std::uint8_t length[8];
  for (int i = 0; i < 8; ++i)
    length[i] = static_cast<std::uint8_t>(std::uint64_t{field.size()} >> (8 * i));
  hash.update(length);
  hash.update(as_bytes(field));
}

}  // namespace

Sha256Digest audit_hash(const AuditRecord& r, const Sha256Digest& previous) {
  Sha256 hash;
  add(hash, "rap-audit-1");
  hash.update(previous);
  add(hash, r.chain_id);
  add(hash, std::to_string(r.seq));
  add(hash, r.event_id);
  add(hash, std::to_string(r.at.time_since_epoch().count()));
  add(hash, std::to_string(r.authority_term));
  for (const std::string* field : {&r.actor_kind, &r.actor_id, &r.actor_name, &r.kind, &r.subject,
                                   &r.organization_id, &r.detail}) {
    add(hash, *field);
  }
  return hash.finish();
}

bool AuditVerifier::next(const AuditRecord& record, ByteView stored_previous,
                         ByteView stored_hash) {
  if (problem_) return false;
  if (record.chain_id != chain_id_ || record.seq != checked_ + 1) {
    problem_ = fmt::format("event {} of the chain is missing", checked_ + 1);
  } else if (!equal_constant_time(stored_previous, head_)) {
    problem_ = fmt::format("event {} does not follow event {}", record.seq, checked_);
  } else {
    const Sha256Digest expected = audit_hash(record, head_);
    if (!equal_constant_time(stored_hash, expected)) {
      problem_ = fmt::format("event {} was changed", record.seq);
    } else {
      head_ = expected;
      ++checked_;
    }
  }
  return !problem_;
}

}  // namespace rap::cp
