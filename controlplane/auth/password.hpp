// Password hashes: Argon2id.
#pragma once

#include <string>
#include <string_view>

#include "base/net/blocking_pool.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace rap::cp {

// At least this many bytes; longer than any list of common passwords, and typed by hand.
inline constexpr std::size_t kPasswordMin = 10;
// Argon2 reads it all: bounds the work of one login.
inline constexpr std::size_t kPasswordMax = 256;

// The encoded form with salt and parameters ("$argon2id$v=19$m=19456,t=2,p=1$...").
std::string hash_password(std::string_view password);
bool verify_password(std::string_view password, const std::string& encoded);
// `invalid` with what is wrong.
Status check_password_choice(std::string_view password);

// The same on two threads: a login costs 37 ms of a core and 19 MiB, and logins must not be able
// to take the whole machine. Any thread.
class PasswordHasher {
 public:
  PasswordHasher();

  // Both throw Problem 503 when too many wait.
  net::Task<std::string> hash(std::string password);
  // An empty `encoded` (no such person) costs the same and is false.
  net::Task<bool> verify(std::string password, std::string encoded);

 private:
  void refuse_when_full() const;

  net::BlockingPool pool_{2};
  std::string nobody_;  // what passwords of people who do not exist are compared with
};

}  // namespace rap::cp
