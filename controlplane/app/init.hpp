// The first start of an installation.
#pragma once

#include <filesystem>
#include <ostream>
#include <string>

#include "controlplane/config/config.hpp"

namespace rap::cp {

struct InitOptions {
  std::string owner_login;
  std::string owner_name;  // empty: the login
  std::filesystem::path owner_password_file;
};

// Database, role, schema, keys, first owner; says on `out` what it made. With an owner present it
// changes nothing and says so.
Status run_init(const Config& config, const InitOptions& options, std::ostream& out);

// Applies missing migrations and the grants of the servers' role.
Status run_migrate(const Config& config, std::ostream& out);

}  // namespace rap::cp
