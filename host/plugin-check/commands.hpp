// The three things `rap-plugin-check` does. Each returns the exit status.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "host/plugin-check/runner.hpp"

namespace rap::check {

struct CheckCommand {
  std::string plugin;
  std::string manifest;  // path, or empty
  std::string session_options = "{}";
  RunOptions run;
  std::int64_t limit_ms = 5000;
  bool json = false;
};
// 0 only when at least one check passed and none failed; 2 when `run.only` names no check; 1
// otherwise.
int check_command(const CheckCommand& command);

struct ManifestCommand {
  std::string plugin;
  std::string product, version, built_from;
  std::int64_t release_seq = 0;
  std::int64_t security_epoch = 0;
  std::string out;  // path; empty: standard output
};
// Writes nothing for a plugin that breaks a rule of level 1.
int manifest_command(const ManifestCommand& command);

// Which layers of the sandbox this host really has. 0 when all are active.
int sandbox_command(bool json);

}  // namespace rap::check
