// Redis for what lives minutes at most. Everything here may be lost at any moment.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/net/task.hpp"

namespace rap::cp {

struct RedisReply {
  enum class Kind { none, text, integer, error };
  Kind kind = Kind::none;
  std::string text;
  std::int64_t integer = 0;
};

// One pipelined connection on one executor; reconnects by itself, 100 ms to 5 s between attempts.
// Not movable. Methods on the executor unless said otherwise.
class Redis {
 public:
  // "unix:/path" or "host:port". An empty url: never connected. Does not wait.
  Redis(net::asio::any_io_executor executor, std::string url);
  ~Redis();
  Redis(const Redis&) = delete;
  Redis& operator=(const Redis&) = delete;

  void start();
  void stop();
  bool configured() const;
  bool connected() const;  // any thread

  // nullopt: Redis is away, or did not answer within 250 ms: the caller goes on without. After one
  // that was not answered Redis counts as away until it answers on a new connection.
  net::Task<std::optional<RedisReply>> command(std::vector<std::string> words);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with what it waits for
};

}  // namespace rap::cp
