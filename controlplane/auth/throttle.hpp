// Slows down guessing of passwords and codes.
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
// Of a million codes three are good at a time: ten an hour find one in four years, a hundred in
// five minutes in two weeks. Who tries codes knows the password.
inline constexpr int kCodesPerAccount = 10;
inline constexpr std::chrono::seconds kCodesWindow{3600};

// Counts in Redis, for all servers together; in memory while Redis is away. An attempt counts from
// before it is looked at, so as many as may fail are under way at a time. On one executor.
class LoginThrottle {
 public:
  LoginThrottle(Redis& redis, const Clock& clock) : redis_(redis), clock_(clock) {}

  // Counts an attempt. False: refuse without looking at the password; it is not counted.
  net::Task<bool> take(std::string login, std::string address);
  // The attempt was right: the address starts anew.
  net::Task<void> succeeded(std::string login, std::string address);
  // It was neither right nor wrong.
  net::Task<void> give_back(std::string login, std::string address);

  // The same for a code of the second factor, from anywhere.
  net::Task<bool> take_code(std::string login);
  net::Task<void> give_back_code(std::string login);

 private:
  struct Count {
    int taken = 0;
    SystemTime until{};
  };
  struct Limit {
    int taken;
    std::chrono::seconds window;
  };
  net::Task<bool> take_one(std::string key, Limit limit);
  net::Task<void> give_back_one(std::string key);
  void forget_one(const std::string& key);

  Redis& redis_;
  const Clock& clock_;
  std::map<std::string, Count> local_;
};

}  // namespace rap::cp
