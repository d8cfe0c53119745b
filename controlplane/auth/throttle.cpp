#include "controlplane/auth/throttle.hpp"

#include "base/bytes.hpp"
#include "base/crypto.hpp"

namespace rap::cp {
namespace {

// An attacker may try any number of names: forget all when there are this many, about 10 MB.
constexpr std::size_t kLocalMax = 100'000;

// One step each, so that of many attempts at a time no two get the same number, and no count is
// left without an end. A refused attempt does not prolong the wait.
constexpr const char* kTake = R"lua(
  local n = redis.call('INCR', KEYS[1])
  if n <= tonumber(ARGV[1]) then redis.call('EXPIRE', KEYS[1], ARGV[2])
  else redis.call('DECR', KEYS[1]) end
  return n
)lua";
constexpr const char* kGiveBack = R"lua(
  if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then redis.call('DECR', KEYS[1]) end
  return 0
)lua";

// Hashed: a name typed into the wrong field may be a password.
std::string key_of(std::string_view kind, std::string_view text) {
  const Sha256Digest digest = sha256(text);
  return "rap:login:" + std::string(kind) + ":" + to_hex(ByteView(digest).subspan(0, 16));
}

std::string pair_key(const std::string& login, const std::string& address) {
  return key_of("pair", login + "\n" + address);
}

}  // namespace

void LoginThrottle::forget_one(const std::string& key) {
  const auto it = local_.find(key);
  if (it != local_.end() && --it->second.taken <= 0) local_.erase(it);
}

net::Task<bool> LoginThrottle::take_one(std::string key, Limit limit) {
  if (local_.size() >= kLocalMax) local_.clear();
  Count& count = local_[key];
  if (count.until < clock_.now()) count = {};
  if (count.taken >= limit.taken) co_return false;
  ++count.taken;
  count.until = clock_.now() + limit.window;
  std::vector<std::string> words{
      "EVAL", kTake, "1", key, std::to_string(limit.taken), std::to_string(limit.window.count())};
  const auto reply = co_await redis_.command(std::move(words));
  const bool refused =
      reply && reply->kind == RedisReply::Kind::integer && reply->integer > limit.taken;
  if (refused) forget_one(key);
  co_return !refused;
}

net::Task<void> LoginThrottle::give_back_one(std::string key) {
  forget_one(key);
  std::vector<std::string> words{"EVAL", kGiveBack, "1", key};
  co_await redis_.command(std::move(words));
}

net::Task<bool> LoginThrottle::take(std::string login, std::string address) {
  const Limit pair{kFailuresPerPair, kThrottleWindow};
  const Limit account{kFailuresPerAccount, kThrottleWindow};
  if (!co_await take_one(pair_key(login, address), pair)) co_return false;
  if (co_await take_one(key_of("account", login), account)) co_return true;
  co_await give_back_one(pair_key(login, address));
  co_return false;
}

net::Task<void> LoginThrottle::succeeded(std::string login, std::string address) {
  const std::string pair = pair_key(login, address);
  local_.erase(pair);
  std::vector<std::string> words{"DEL", pair};
  co_await redis_.command(std::move(words));
  co_await give_back_one(key_of("account", login));
}

net::Task<void> LoginThrottle::give_back(std::string login, std::string address) {
  co_await give_back_one(pair_key(login, address));
  co_await give_back_one(key_of("account", login));
}

net::Task<bool> LoginThrottle::take_code(std::string login) {
  const Limit limit{kCodesPerAccount, kCodesWindow};
  co_return co_await take_one(key_of("code", login), limit);
}

net::Task<void> LoginThrottle::give_back_code(std::string login) {
  co_await give_back_one(key_of("code", login));
}

}  // namespace rap::cp
