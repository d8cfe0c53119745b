// Everything a handler may use, built and owned by serve().
#pragma once

#include <functional>
#include <string>

#include "base/clock.hpp"

namespace rap::net {
struct HttpServerStats;
}

namespace rap::cp {

struct Config;
class CertificateAuthority;
class ClusterKeys;
class Database;
class Director;
class HeartbeatBatcher;
class LoginThrottle;
class Metrics;
class NodeSignals;
class PasswordHasher;
class Redis;
class Sealer;

struct Services {
  const Config& config;
  const Clock& clock;
  Database& db;
  const Sealer& sealer;
  const CertificateAuthority& platform;
  ClusterKeys& cluster_keys;
  PasswordHasher& passwords;
  LoginThrottle& throttle;
  Redis& redis;
  NodeSignals& signals;
  HeartbeatBatcher& heartbeats;
  Metrics& metrics;
  Director& director;
};

}  // namespace rap::cp
