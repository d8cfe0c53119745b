#include "controlplane/auth/totp.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdexcept>

#include "base/net/http.hpp"

namespace rap::cp {

std::string totp_code(ByteView secret, std::int64_t step, int digits) {
  std::uint8_t message[8];
  for (int i = 0; i < 8; ++i) message[i] = static_cast<std::uint8_t>(step >> (8 * (7 - i)));
  std::uint8_t mac[20];
  unsigned size = sizeof mac;
  if (HMAC(EVP_sha1(), secret.data(), static_cast<int>(secret.size()), message, sizeof message, mac,
           &size) == nullptr) {
    throw std::runtime_error("HMAC-SHA1");
  }
  const int offset = mac[19] & 0x0f;
  const std::uint32_t number = (static_cast<std::uint32_t>(mac[offset] & 0x7f) << 24) |
                               (static_cast<std::uint32_t>(mac[offset + 1]) << 16) |
                               (static_cast<std::uint32_t>(mac[offset + 2]) << 8) | mac[offset + 3];
  std::uint32_t modulus = 1;
  for (int i = 0; i < digits; ++i) modulus *= 10;
  return fmt::format("{:0{}}", number % modulus, digits);
}

std::optional<std::int64_t> check_totp(ByteView secret, std::string_view code, SystemTime now,
                                       std::int64_t last_step) {
  const std::int64_t current = to_unix_seconds(now) / kTotpStepSeconds;
  std::optional<std::int64_t> found;
  for (std::int64_t step = current - kTotpWindow; step <= current + kTotpWindow; ++step) {
    const bool same = equal_constant_time(as_bytes(totp_code(secret, step)), as_bytes(code));
    if (same && step > last_step && !found) found = step;
  }
  return found;
}

std::string to_base32(ByteView bytes) {
  static constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string out;
  std::uint32_t buffer = 0;
  int bits = 0;
  for (const std::uint8_t byte : bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += kAlphabet[(buffer >> bits) & 31];
    }
    buffer &= (1u << bits) - 1;
  }
  if (bits > 0) out += kAlphabet[(buffer << (5 - bits)) & 31];
  return out;
}

std::string totp_uri(std::string_view login, ByteView secret) {
  return fmt::format("otpauth://totp/RAP:{}?secret={}&issuer=RAP&algorithm=SHA1&digits=6&period=30",
                     net::percent_encode(login), to_base32(secret));
}

}  // namespace rap::cp
