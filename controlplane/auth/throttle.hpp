// Slows down guessing of passwords.
#pragma once

#include <map>
#include <string>

#include "base/clock.hpp"
#include "controlplane/redis/redis.hpp"

namespace rap::cp {

// Failures allowed within the window before attempts are refused unseen: ten for one account from
// one address (a person who forgot), a hundred for one account from anywhere.
inline constexpr int kFailuresPerPair = 10;
inline constexpr int kFailuresPerAccount = 100;
inline constexpr std::chrono::seconds kThrottleWindow{300};

// Counts in Redis, for all servers together; in memory while Redis is away. On one executor.
class LoginThrottle {
 public:
  LoginThrottle(Redis& redis, const Clock& clock) : redis_(redis), clock_(clock) {}

  // False: refuse without looking at the password.
  net::Task<bool> may_try(std::string login, std::string address);
  net::Task<void> failed(std::string login, std::string address);
  net::Task<void> succeeded(std::string login, std::string address);

 private:
  struct Count {
    int failures = 0;
    SystemTime until{};
  };
  net::Task<int> count(std::string key);
  net::Task<void> add(std::string key);
  int local_count(const std::string& key);

  Redis& redis_;
  const Clock& clock_;
  std::map<std::string, Count> local_;
};

}  // namespace rap::cp
