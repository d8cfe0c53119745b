// Schema changes: numbered, forward only, never edited once applied.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "controlplane/db/sql.hpp"

namespace rap::cp {

struct Migration {
  int version;
  std::string_view name;  // "0001_tenancy_and_people"
  std::string_view sql;
};

// Those of controlplane/migrations/, embedded at build, in order.
std::span<const Migration> embedded_migrations();

// Applies what is missing, each in its own transaction, one process at a time. Returns the names
// applied. `conflict` when an applied migration's text is another than ours (it was edited), or the
// database is newer than this program.
Result<std::vector<std::string>> migrate(Connection& admin, std::span<const Migration> migrations);

// What serve() asks: is the schema exactly ours? `conflict` says what to run.
Status check_schema(Connection& connection, std::span<const Migration> migrations);

// Makes the role of the servers (no superuser, no bypass of row security, owner of nothing) when it
// is missing, and grants it what it needs: never update or delete of audit events. A password in
// `app_url` becomes the role's. `invalid` when the url names no user.
Status grant_application_role(Connection& admin, const std::string& app_url);

}  // namespace rap::cp
