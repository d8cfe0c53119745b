// The hash chain of audit events. Pure.
#pragma once

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/crypto.hpp"

namespace rap::cp {

struct AuditRecord {
  std::string chain_id;  // cluster id, or "platform"
  std::int64_t seq = 0;  // from 1, no gaps
  std::string event_id;
  SystemTime at{};
  std::int64_t authority_term = 0;
  std::string actor_kind;
  std::string actor_id;
  std::string actor_name;
  std::string kind;
  std::string subject;
  std::string organization_id;  // empty: none
  std::string detail;           // JSON as stored
};

// SHA-256 over the previous hash and every field, each with its length before it, so that no two
// records have the same bytes.
Sha256Digest audit_hash(const AuditRecord& record, const Sha256Digest& previous);

// Walks a chain from its beginning.
class AuditVerifier {
 public:
  explicit AuditVerifier(std::string chain_id) : chain_id_(std::move(chain_id)) {}

  // The next record as stored. False from the first one on that does not fit; problem() says why.
  bool next(const AuditRecord& record, ByteView stored_previous, ByteView stored_hash);

  std::int64_t checked() const { return checked_; }
  const Sha256Digest& head() const { return head_; }
  const std::optional<std::string>& problem() const { return problem_; }

 private:
  std::string chain_id_;
  std::int64_t checked_ = 0;
  Sha256Digest head_{};  // zeros before the first record
  std::optional<std::string> problem_;
};

}  // namespace rap::cp
