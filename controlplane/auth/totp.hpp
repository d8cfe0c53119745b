// Time-based one-time passwords, RFC 6238 with HMAC-SHA1, 30 s, 6 digits: what every app speaks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace rap::cp {

inline constexpr std::int64_t kTotpStepSeconds = 30;
// One step either way: a phone's clock, and the time it takes to type.
inline constexpr std::int64_t kTotpWindow = 1;

// `digits` from 6 to 8.
std::string totp_code(ByteView secret, std::int64_t step, int digits = 6);

// The step whose code `code` is, among the steps around `now` that come after `last_step` (a code
// is accepted once); nullopt otherwise. Takes the same time for every wrong code.
std::optional<std::int64_t> check_totp(ByteView secret, std::string_view code, SystemTime now,
                                       std::int64_t last_step);

// RFC 4648 base 32 without padding, as apps want secrets.
std::string to_base32(ByteView bytes);

// otpauth:// text of the QR code.
std::string totp_uri(std::string_view login, ByteView secret);

}  // namespace rap::cp
