#include "controlplane/db/migrate.hpp"

#include <fmt/format.h>

#include "base/crypto.hpp"

namespace rap::cp {
namespace {

constexpr const char* kMakeTable = R"sql(
  create table if not exists schema_migrations (
    version    integer primary key,
    name       text not null,
    sha256     bytea not null,
    applied_at timestamptz not null default now()
  )
)sql";

// One migrating process at a time; the number is arbitrary and ours alone in this database.
constexpr const char* kLock = "select pg_advisory_xact_lock(7236113401)";
constexpr const char* kApplied =
    "select version, name, sha256 from schema_migrations order by version";
constexpr const char* kRecord =
    "insert into schema_migrations (version, name, sha256) values ($1, $2, $3)";
constexpr const char* kHasTable = "select to_regclass('schema_migrations') is not null as present";

Bytes checksum(const Migration& migration) {
  const Sha256Digest digest = sha256(migration.sql);
  return {digest.begin(), digest.end()};
}

// How many of `migrations` the database has.
Result<std::size_t> applied_count(const Rows& applied, std::span<const Migration> migrations) {
  if (applied.size() > migrations.size()) {
    return fail(Errc::conflict,
                fmt::format("the database has migration {}, newer than this program",
                            applied[migrations.size()].text("name")));
  }
  for (std::size_t i = 0; i < applied.size(); ++i) {
    if (applied[i].integer("version") != migrations[i].version ||
        applied[i].bytes("sha256") != checksum(migrations[i])) {
      return fail(
          Errc::conflict,
          fmt::format("migration {} was edited after it was applied as {}; restore its text "
                      "and write a new one",
                      migrations[i].name, applied[i].text("name")));
    }
  }
  return applied.size();
}

std::string quote_identifier(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}
std::string quote_literal(std::string_view text) {
  std::string out = "E'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

}  // namespace

Result<std::vector<std::string>> migrate(Connection& admin, std::span<const Migration> migrations) {
  std::vector<std::string> done;
  admin.run([](Tx& tx) {
    tx.script(kLock);
    tx.script(kMakeTable);
  });
  for (;;) {
    std::optional<Error> refused;
    bool finished = false;
    admin.run([&](Tx& tx) {
      tx.script(kLock);
      const auto count = applied_count(tx.query(kApplied), migrations);
      if (!count) {
        refused = count.error();
        return;
      }
      if (*count == migrations.size()) {
        finished = true;
        return;
      }
      const Migration& next = migrations[*count];
      tx.script("set local statement_timeout = 0");
      tx.script(std::string(next.sql));
      tx.query(kRecord, {next.version, next.name, checksum(next)});
      done.emplace_back(next.name);
    });
    if (refused) return fail(*refused);
    if (finished) return done;
  }
}

Status check_schema(Connection& connection, std::span<const Migration> migrations) {
  Status status;
  connection.run([&](Tx& tx) {
    if (!tx.query(kHasTable)[0].boolean("present")) {
      status = fail(Errc::conflict, "the database is empty: run rap-control-plane init");
      return;
    }
    const auto count = applied_count(tx.query(kApplied), migrations);
    if (!count) {
      status = fail(count.error());
    } else if (*count < migrations.size()) {
      status =
          fail(Errc::conflict, fmt::format("the database lacks {} migrations from {} on: run "
                                           "rap-control-plane migrate",
                                           migrations.size() - *count, migrations[*count].name));
    }
  });
  return status;
}

Status grant_application_role(Connection& admin, const std::string& app_url) {
  const UrlParts app = parse_database_url(app_url);
  if (app.user.empty()) return fail(Errc::invalid, "postgres.url names no user");
  const std::string role = quote_identifier(app.user);
  Status status;
  admin.run([&](Tx& tx) {
    const Rows me = tx.query("select current_user::text as name");
    if (me[0].text("name") == app.user) {
      status = fail(Errc::invalid,
                    "postgres.url and postgres.admin_url name the same role; the servers need one "
                    "that owns nothing");
      return;
    }
    const Rows found = tx.query(
        "select rolsuper or rolbypassrls as strong from pg_roles "
        "where rolname = $1",
        {app.user});
    if (found.empty()) {
      tx.script("create role " + role + " login nosuperuser nobypassrls nocreatedb nocreaterole");
    } else if (found[0].boolean("strong")) {
      status =
          fail(Errc::invalid, "role " + app.user +
                                  " is a superuser or bypasses row level security; the servers "
                                  "need one that does neither");
      return;
    }
    if (!app.password.empty()) {
      tx.script("alter role " + role + " password " + quote_literal(app.password));
    }
    tx.script("grant usage on schema public to " + role);
    tx.script("grant select, insert, update, delete on all tables in schema public to " + role);
    tx.script("revoke update, delete on cluster_audit_events from " + role);
    tx.script("revoke insert, update, delete on schema_migrations from " + role);
  });
  return status;
}

}  // namespace rap::cp
