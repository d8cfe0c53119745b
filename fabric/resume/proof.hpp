// Who may come back to a stream: a key that only its two ends have, and proofs made with it.
#pragma once

#include "base/secret.hpp"
#include "fabric/resume/frame.hpp"

namespace rap::resume {

enum class End { dialler, acceptor };

// HKDF-SHA256 over both ends' randoms, which travel inside the encryption between the ends.
Secret derive_key(const StreamId& id, const Random& dialler, const Random& acceptor);

// HMAC-SHA256; who says it, and everything else it says, is part of the proof.
Proof make_proof(const Secret& key, End from, const StreamId& id, std::uint64_t epoch,
                 std::uint64_t next);

// In constant time.
bool proof_holds(const Secret& key, End from, const StreamId& id, std::uint64_t epoch,
                 std::uint64_t next, const Proof& proof);

}  // namespace rap::resume
