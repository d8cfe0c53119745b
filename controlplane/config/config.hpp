// The configuration file of the control plane: one struct per component, checked once.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/net/tcp.hpp"
#include "base/result.hpp"

namespace rap::cp {

struct PostgresConfig {
  std::string admin_url;  // init and migrate only; serve works without
  std::string url;        // of the role that is no superuser and owns nothing
  std::size_t connections = 8;
};

struct RedisConfig {
  // "unix:/path", "host:port"; empty: without Redis (throttling in memory).
  std::string url;
};

struct RetentionConfig {
  // How long a session that is over can be looked up. The audit chain keeps what happened in it.
  std::size_t sessions_days = 90;
};

struct Config {
  net::HostPort listen{"127.0.0.1", 8443};
  std::string public_url;                 // "https://host:port", what people and agents dial
  std::filesystem::path data_dir;         // keys: mode 0700, ours alone
  std::filesystem::path version_storage;  // repository R as rap-sign writes it; may be empty
  PostgresConfig postgres;
  RedisConfig redis;
  RetentionConfig retention;
  // Where /metrics is answered: plain HTTP, to whoever can connect. nullopt: nowhere.
  std::optional<net::HostPort> metrics_listen = net::HostPort{"127.0.0.1", 9464};
  std::string log_level = "info";

  // "rap.example" of public_url.
  net::HostPort public_address() const;
};

// Parses the YAML text; relative paths are below `base`. Fails with `invalid` or `malformed` naming
// the key: unknown keys, wrong types and values out of range are refused.
//
//   listen: 0.0.0.0:8443
//   public_url: https://rap.example:8443
//   data_dir: /var/lib/rap/control-plane
//   version_storage: /var/lib/rap/version-storage
//   postgres: {admin_url: "...", url: "...", connections: 8}
//   redis: {url: "unix:/run/redis/redis.sock"}
//   retention: {sessions_days: 90}
//   metrics: {listen: 127.0.0.1:9464}
//   log: {level: info}
Result<Config> parse_config(const std::string& yaml, const std::filesystem::path& base);

// Reads the file, then lets the environment replace secrets: RAP_POSTGRES_URL_FILE and
// RAP_POSTGRES_ADMIN_URL_FILE name files with the urls.
Result<Config> load_config(const std::filesystem::path& path);

}  // namespace rap::cp
