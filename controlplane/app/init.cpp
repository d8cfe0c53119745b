#include "controlplane/app/init.hpp"

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/file.hpp"
#include "base/fingerprint.hpp"
#include "base/net/x509.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/auth/password.hpp"
#include "controlplane/auth/people.hpp"
#include "controlplane/db/migrate.hpp"
#include "controlplane/pki/platform.hpp"

namespace rap::cp {
namespace {

constexpr const char* kOwner = "select login from users where is_owner order by id limit 1";
constexpr const char* kInsertOwner = R"sql(
  insert into users (id, login, display_name, password_hash, is_owner) values ($1, $2, $3, $4, true)
)sql";

Result<Connection> connect_admin(const Config& config) {
  if (config.postgres.admin_url.empty()) {
    return fail(Errc::invalid, "postgres.admin_url is missing: the owner of the database's tables");
  }
  return Connection(config.postgres.admin_url);
}

Result<std::string> read_password(const std::filesystem::path& path) {
  auto text = read_text_file(path, 1024);
  if (!text) return fail(text.error(), "owner's password");
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  if (auto good = check_password_choice(*text); !good) {
    wipe(*text);
    return fail(good.error());
  }
  return std::move(*text);
}

Status prepare_database(Connection& admin, const Config& config, std::ostream& out) {
  const auto applied = migrate(admin, embedded_migrations());
  if (!applied) return fail(applied.error());
  for (const std::string& name : *applied) out << "applied migration " << name << "\n";
  if (auto granted = grant_application_role(admin, config.postgres.url); !granted) return granted;
  out << "role " << parse_database_url(config.postgres.url).user
      << " may use the tables, and owns none\n";
  return {};
}

void insert_owner(Tx& tx, const std::string& login, const std::string& display_name,
                  const std::string& hash) {
  const auto id = UserId::fresh();
  tx.query(kInsertOwner, {id, login, display_name, hash});
  boost::json::object detail;
  detail["login"] = login;
  audit(tx, Actor::system(), "", {"user.created", id.str()}, detail, RealClock().now());
}

// As `rapctl login` shows it before it asks whether to trust: the owner compares the two.
Status show_fingerprint(const Config& config, std::ostream& out) {
  const auto path = config.data_dir / kPlatformCaFile;
  const auto pem = read_text_file(path, 64 * 1024);
  // A further server that does not have the files yet.
  if (!pem && pem.error().code == Errc::not_found) return {};
  if (!pem) return fail(pem.error(), "platform authority");
  const auto facts = net::parse_certificate_pem(*pem);
  if (!facts) return fail(facts.error(), path.string());
  out << "The platform CA, for the first rapctl login to be compared with:\n"
      << "  SHA-256 of its key: " << fingerprint_text(facts->spki_sha256) << "\n";
  return {};
}

}  // namespace

Status run_migrate(const Config& config, std::ostream& out) {
  auto admin = connect_admin(config);
  if (!admin) return fail(admin.error());
  auto done = prepare_database(*admin, config, out);
  if (done) out << "the schema is up to date\n";
  return done;
}

Status run_init(const Config& config, const InitOptions& options, std::ostream& out) {
  auto admin = connect_admin(config);
  if (!admin) return fail(admin.error());
  if (auto done = prepare_database(*admin, config, out); !done) return done;
  std::string owner;
  admin->run([&](Tx& tx) {
    const Rows rows = tx.query(kOwner);
    if (!rows.empty()) owner = rows[0].text("login");
  });
  if (!owner.empty()) {
    out << "already initialised: " << owner << " is an owner; no key and no person was made\n";
    return show_fingerprint(config, out);
  }
  const std::string login = normal_login(options.owner_login);
  if (login.empty()) return fail(Errc::invalid, "--owner-login is missing");
  if (!is_login(login)) return fail(Errc::invalid, "--owner-login: " + std::string(kLoginRule));
  auto password = read_password(options.owner_password_file);
  if (!password) return fail(password.error());
  const auto made = make_platform_keys(config, RealClock().now());
  if (!made) return fail(made.error());
  for (const std::string& file : *made) out << "made " << (config.data_dir / file).string() << "\n";
  const std::string hash = hash_password(*password);
  wipe(*password);
  admin->run([&](Tx& tx) {
    insert_owner(tx, login, options.owner_name.empty() ? login : options.owner_name, hash);
  });
  out << "made the first owner, " << login << "\n\n";
  if (auto shown = show_fingerprint(config, out); !shown) return shown;
  out << "Next:\n"
      << "  rap-control-plane serve --config ...\n"
      << "  rapctl login --server " << config.public_url << " --ca "
      << (config.data_dir / kPlatformCaFile).string() << " --login " << login << "\n"
      << "Back up " << config.data_dir.string()
      << " together with the database: without the keys in it, sealed values do not open.\n";
  return {};
}

}  // namespace rap::cp
