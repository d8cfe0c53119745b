#include "controlplane/auth/throttle.hpp"

#include <charconv>

#include "base/bytes.hpp"
#include "base/crypto.hpp"

namespace rap::cp {
namespace {

// An attacker may try any number of names: forget all when there are this many, about 10 MB.
constexpr std::size_t kLocalMax = 100'000;

// Hashed: a name typed into the wrong field may be a password.
std::string key_of(std::string_view kind, std::string_view text) {
  const Sha256Digest digest = sha256(text);
  return "rap:login:" + std::string(kind) + ":" + to_hex(ByteView(digest).subspan(0, 16));
}

std::string pair_key(const std::string& login, const std::string& address) {
  return key_of("pair", login + "\n" + address);
}

}  // namespace

int LoginThrottle::local_count(const std::string& key) {
  const auto it = local_.find(key);
  if (it == local_.end()) return 0;
  if (it->second.until < clock_.now()) {
    local_.erase(it);
    return 0;
  }
  return it->second.failures;
}

net::Task<int> LoginThrottle::count(std::string key) {
  const int local = local_count(key);
  std::vector<std::string> words{"GET", key};
  const auto reply = co_await redis_.command(std::move(words));
  int shared = 0;  // also for what is no number
  if (reply) std::from_chars(reply->text.data(), reply->text.data() + reply->text.size(), shared);
  co_return std::max(local, shared);
}

net::Task<void> LoginThrottle::add(std::string key) {
  if (local_.size() >= kLocalMax) local_.clear();
  Count& count = local_[key];
  if (count.until < clock_.now()) count = {};
  ++count.failures;
  count.until = clock_.now() + kThrottleWindow;
  std::vector<std::string> increment{"INCR", key};
  const auto reply = co_await redis_.command(std::move(increment));
  if (reply) {
    std::vector<std::string> expire{"EXPIRE", key, std::to_string(kThrottleWindow.count())};
    co_await redis_.command(std::move(expire));
  }
}

net::Task<bool> LoginThrottle::may_try(std::string login, std::string address) {
  const int pair = co_await count(pair_key(login, address));
  const int account = co_await count(key_of("account", login));
  co_return pair < kFailuresPerPair&& account < kFailuresPerAccount;
}

net::Task<void> LoginThrottle::failed(std::string login, std::string address) {
  co_await add(pair_key(login, address));
  co_await add(key_of("account", login));
}

net::Task<void> LoginThrottle::succeeded(std::string login, std::string address) {
  const std::string key = pair_key(login, address);
  local_.erase(key);
  std::vector<std::string> words{"DEL", key};
  co_await redis_.command(std::move(words));
}

}  // namespace rap::cp
