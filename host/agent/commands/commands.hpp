// The subcommands of rap-node-agent; each returns the exit status: 0 done, 1 failed, 2 wrong usage.
#pragma once

#include <filesystem>
#include <string>

#include "host/agent/config/config.hpp"
#include "host/agent/control/enroll.hpp"

namespace rap::agent {

enum class Output { text, json };

// Prints "rap-node-agent: detail" (or the problem as JSON) on standard error; returns 1.
int report_failure(const Error& error, Output output);

int enroll_command(const Config& config, EnrollOptions options, Output output);
int run_command(const Config& config);

enum class Check { none, live, ready, startup };
int status_command(const Config& config, Check check, Output output);
int stop_command(const Config& config);
// Writes a directory that may be given to others: no keys, no secrets.
int diagnostics_command(const Config& config, const std::filesystem::path& directory,
                        Output output);
// Names the files that it read; 1 also when there was none.
int config_validate_command(const ConfigSource& source, Output output);

}  // namespace rap::agent
