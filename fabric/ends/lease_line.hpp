// The first line each end writes inside: the session lease, and the service's answer.
// docs/contracts/mesh-streams.md, "Inside".
#pragma once

#include <string>
#include <string_view>

#include "base/net/byte_stream.hpp"
#include "base/result.hpp"
#include "fabric/jws.hpp"

namespace rap::fabric {

inline constexpr std::size_t kLeaseLineMax = kLeaseBytesMax + 64;  // with {"lease":""}
inline constexpr std::size_t kAnswerLineMax = 1024;                // a code and 300 characters

// With '\n'.
std::string lease_line(std::string_view lease);
std::string answer_line(const Status& answer);

// Without '\n'. The lease, not looked into; `malformed`, `too_large`.
Result<std::string> parse_lease_line(std::string_view line);
// What the service answered; `malformed` when that is no answer.
Status parse_answer_line(std::string_view line);

// Up to '\n', which is taken and not returned; nothing beyond it is read. Throws NetError
// `too_large` (over `bytes_max`), `unavailable` (the stream ended before it).
net::Task<std::string> read_line(net::ByteStream& stream, std::size_t bytes_max);

}  // namespace rap::fabric
