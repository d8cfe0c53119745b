// Creates that may be sent twice.
#pragma once

#include "controlplane/http/route.hpp"

namespace rap::cp {

inline constexpr std::size_t kIdempotencyKeyMax = 64;
inline constexpr std::chrono::hours kIdempotencyLife{24};

// Runs `handler`, or gives its earlier answer again when the same person sent the same body with
// the same Idempotency-Key. Another body or route with the key: 422. Answers are kept sealed, in
// the transaction of the change; refusals are not kept.
Reply with_idempotency_key(const Call& call, Tx& tx, const TransactionHandler& handler);
// The same for routes that accept the header; others run `handler`.
Reply with_idempotency(const Route& route, const Call& call, Tx& tx,
                       const TransactionHandler& handler);

}  // namespace rap::cp
