// What the agent is told by its host: agent.yaml, agent.d/*.yaml and RAP_* variables, checked once.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/log.hpp"
#include "base/result.hpp"
#include "host/agent/config/schema.hpp"

namespace rap::agent {

// A socket of this host for the workload of a role.
struct ServiceAddress {
  std::string role, service;
  std::string listen;  // "host:port", numeric
};

struct Config {
  std::string server;  // "https://host:port", or empty: the one stored at enrollment
  std::filesystem::path state_dir = "/var/lib/rap-node-agent";
  std::filesystem::path run_dir = "/run/rap-node-agent";
  std::string node_name;  // empty: the host name
  std::string mesh_listen = "0.0.0.0:7444";
  std::string mesh_advertise;  // empty: what the listener reports
  std::vector<ServiceAddress> services;
  std::filesystem::path release_root = "/etc/rap/release-root.json";
  std::filesystem::path worker_path;    // never empty after load_config
  std::filesystem::path listener_path;  // never empty after load_config
  log::Level log_level = log::Level::info;

  // Bounds for what the control plane proposes: often enough to be called alive, rarely enough to
  // cost nothing.
  std::chrono::milliseconds heartbeat_min{5'000};
  std::chrono::milliseconds heartbeat_max{60'000};

  int sessions_max = 200;  // one process each; the file descriptors of the agent bound it
  int restarts_max = 5;    // a plugin that fails five times a minute will fail a sixth time
  std::chrono::seconds restart_window{60};
  int outbox_events_max = 10'000;  // some 4 MB of disk: days of an idle node, hours of a busy one
};

// Reads a variable of the environment; a function so that tests bring their own.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;
Environment process_environment();

struct ConfigSource {
  std::filesystem::path file = "/etc/rap/agent.yaml";
  // A named file must exist; the default one may be absent (then everything has its default).
  bool file_required = false;
};

// The files that are read for it, in order: its own where there is one (or must be), then the
// drop-ins (`agent.d/*.yaml` beside it, by name). `too_large` when there are too many.
Result<std::vector<std::filesystem::path>> config_files(const ConfigSource& source);

// What one file says, for itself. Fails with `not_found`, `too_large` or `malformed`, naming file
// and line.
Result<boost::json::value> read_config_file(const std::filesystem::path& path);

// Everything that was read, merged, as one document; drop-ins replace single keys. Fails like the
// two above.
Result<boost::json::value> read_config_document(const ConfigSource& source);

// What a schema cannot say of a document, one key against another. Also for a document that the
// schema refuses; empty when it is good.
std::vector<ConfigProblem> check_config_together(const boost::json::value& document);

// Turns a checked document into values; `invalid` names the key. `binary_directory` is where
// rap-worker and rap-mesh-listener are looked for by default.
Result<Config> config_from_document(const boost::json::value& document,
                                    const Environment& environment,
                                    const std::filesystem::path& binary_directory);

// The three steps: read, check against the schema, convert.
Result<Config> load_config(const ConfigSource& source, const Environment& environment);

// Directory of the running program.
std::filesystem::path program_directory();

}  // namespace rap::agent
