#include "controlplane/auth/password.hpp"

#include <argon2.h>

#include <stdexcept>

#include "base/crypto.hpp"
#include "controlplane/http/problem.hpp"

namespace rap::cp {
namespace {

// OWASP's smallest recommended setting; measured 37 ms of CPU.
constexpr std::uint32_t kMemoryKib = 19 * 1024;
constexpr std::uint32_t kPasses = 2;
constexpr std::uint32_t kLanes = 1;
constexpr std::size_t kSalt = 16;
constexpr std::size_t kHash = 32;
// At 50 logins a second this is two seconds of waiting; more would time out anyway.
constexpr std::size_t kWaitingMax = 100;

}  // namespace

std::string hash_password(std::string_view password) {
  const Bytes salt = random_bytes(kSalt);
  std::string encoded(argon2_encodedlen(kPasses, kMemoryKib, kLanes, kSalt, kHash, Argon2_id),
                      '\0');
  const int result =
      argon2id_hash_encoded(kPasses, kMemoryKib, kLanes, password.data(), password.size(),
                            salt.data(), salt.size(), kHash, encoded.data(), encoded.size());
  if (result != ARGON2_OK) throw std::runtime_error(argon2_error_message(result));
  encoded.resize(encoded.find('\0'));
  return encoded;
}

bool verify_password(std::string_view password, const std::string& encoded) {
  return argon2id_verify(encoded.c_str(), password.data(), password.size()) == ARGON2_OK;
}

Status check_password_choice(std::string_view password) {
  if (password.size() < kPasswordMin) return fail(Errc::invalid, "a password has 10 bytes or more");
  if (password.size() > kPasswordMax)
    return fail(Errc::invalid, "a password has 256 bytes or less");
  return {};
}

PasswordHasher::PasswordHasher() : nobody_(hash_password(to_hex(random_bytes(16)))) {}

void PasswordHasher::refuse_when_full() const {
  if (pool_.pending() < kWaitingMax) return;
  Problem problem(503, "unavailable", "too many logins at once");
  problem.retry_after_s = 2;
  throw problem;
}

net::Task<std::string> PasswordHasher::hash(std::string password) {
  refuse_when_full();
  auto work = [password = std::move(password)]() mutable {
    std::string encoded = hash_password(password);
    wipe(password);
    return encoded;
  };
  co_return co_await net::run_blocking(pool_, std::move(work));
}

net::Task<bool> PasswordHasher::verify(std::string password, std::string encoded) {
  refuse_when_full();
  const bool exists = !encoded.empty();
  if (!exists) encoded = nobody_;
  auto work = [password = std::move(password), encoded = std::move(encoded)]() mutable {
    const bool same = verify_password(password, encoded);
    wipe(password);
    return same;
  };
  const bool same = co_await net::run_blocking(pool_, std::move(work));
  co_return same&& exists;
}

}  // namespace rap::cp
