#include "controlplane/auth/people.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/auth/password.hpp"
#include "controlplane/auth/throttle.hpp"
#include "controlplane/auth/totp.hpp"
#include "controlplane/db/database.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/secrets/sealer.hpp"

namespace rap::cp {
namespace {

constexpr std::string_view kTokenPrefix = "rapses1.";

constexpr const char* kFindToken = R"sql(
  select u.id, u.login, u.display_name, u.is_owner, s.expires_at, a.term, a.state
  from auth_sessions s join users u on u.id = s.user_id cross join authority a
  where s.token_hash = $1 and s.revoked_at is null and u.status = 'active'
)sql";

constexpr const char* kOwnMemberships = R"sql(
  select organization_id, role from memberships where user_id = $1 order by organization_id
)sql";

constexpr const char* kFindLogin = R"sql(
  select id, login, display_name, password_hash, is_owner, totp_enabled, totp_secret, totp_last_step
  from users where login = $1 and status = 'active'
)sql";

constexpr const char* kStoreToken = R"sql(
  insert into auth_sessions (id, token_hash, user_id, address, created_at, expires_at)
  values ($1, $2, $3, $4, $5, $6)
)sql";

// Only forward: of two logins with one code, one wins.
constexpr const char* kUseTotpStep = R"sql(
  update users set totp_last_step = $2 where id = $1 and totp_last_step < $2
)sql";

constexpr const char* kRevokeToken =
    "update auth_sessions set revoked_at = $2 where token_hash = $1 and revoked_at is null";

constexpr const char* kBeginTotp = R"sql(
  update users set totp_secret = $2, totp_last_step = 0, revision = revision + 1
  where id = $1 and not totp_enabled
)sql";

constexpr const char* kReadTotp = "select totp_secret, totp_enabled from users where id = $1";

constexpr const char* kEnableTotp = R"sql(
  update users set totp_enabled = true, totp_last_step = $2, revision = revision + 1 where id = $1
)sql";

std::string totp_context(std::string_view user) {
  return "totp|" + std::string(user);
}

struct LoginRow {
  std::string id, login, display_name, password_hash;
  bool owner = false, totp = false;
  Bytes totp_secret;
  std::int64_t last_step = 0;
};

boost::json::object user_json(std::string_view id, std::string_view login,
                              std::string_view display_name, bool owner) {
  boost::json::object user;
  user["id"] = id;
  user["login"] = login;
  user["display_name"] = display_name;
  user["owner"] = owner;
  return user;
}

LoginRow find_login(Tx& tx, const std::string& login) {
  LoginRow out;
  const Rows rows = tx.query(kFindLogin, {login});
  if (rows.empty()) return out;
  const Row& row = rows[0];
  out.id = row.text("id");
  out.login = row.text("login");
  out.display_name = row.text("display_name");
  out.password_hash = row.text("password_hash");
  out.owner = row.boolean("is_owner");
  out.totp = row.boolean("totp_enabled");
  if (out.totp) out.totp_secret = row.bytes("totp_secret");
  out.last_step = row.integer("totp_last_step");
  return out;
}

void audit_login(Tx& tx, const LoginRow& user, const Call& call, bool ok) {
  boost::json::object detail;
  detail["address"] = call.address;
  audit(tx, Actor{"person", user.id, user.display_name}, "",
        {ok ? "login.succeeded" : "login.failed", user.id}, detail, call.now);
}

// The second factor, inside the transaction that makes the token.
void check_second_factor(const Call& call, Tx& tx, const LoginRow& user) {
  if (!user.totp) return;
  const auto code = call.text_or_none("totp");
  if (!code) throw Problem(401, "totp_required", "send the code of the authenticator as totp");
  const Secret secret =
      require(call.services->sealer.open(user.totp_secret, totp_context(user.id)));
  const auto step = check_totp(secret.bytes(), *code, call.now, user.last_step);
  if (!step || tx.query(kUseTotpStep, {user.id, *step}).affected() == 0) {
    throw Problem(401, "unauthorized", "login, password or code is wrong");
  }
}

[[noreturn]] void refuse_too_many(const char* detail, std::chrono::seconds wait) {
  Problem problem(429, "exhausted", detail);
  problem.retry_after_s = static_cast<int>(wait.count());
  throw problem;
}

// The login itself; throws the Problem that it is refused with.
net::Task<Reply> try_login(const Call& call, const std::string& name) {
  const Services& services = *call.services;
  LoginRow user;
  Database::Work find = [&](Tx& tx) { user = find_login(tx, name); };
  co_await services.db.run(std::move(find));
  const bool known = co_await services.passwords.verify(call.text("password"), user.password_hash);
  const bool code = known && user.totp && call.has("totp");
  if (code && !co_await services.throttle.take_code(name)) {
    refuse_too_many("too many wrong codes for this account; wait an hour", kCodesWindow);
  }
  const std::string token = std::string(kTokenPrefix) + to_base64url(random_bytes(32));
  const SystemTime expires = call.now + kLoginLife;
  std::exception_ptr refused;
  bool wrong = !known;
  Database::Work finish = [&](Tx& tx) {
    check_second_factor(call, tx, user);
    tx.query(kStoreToken, {PersonTokenId::fresh(), ByteView(sha256(token)), user.id, call.address,
                           call.now, expires});
    audit_login(tx, user, call, true);
  };
  try {
    if (wrong) throw Problem(401, "unauthorized", "login, password or code is wrong");
    co_await services.db.run(std::move(finish));
  } catch (const Problem& problem) {
    refused = std::current_exception();
    // Asking for the code is not a failure: the password was right.
    wrong = problem.code != "totp_required";
  } catch (const std::exception&) {
    refused = std::current_exception();
  }
  if (code && !wrong) co_await services.throttle.give_back_code(name);
  if (wrong && !user.id.empty()) {
    Database::Work record = [&](Tx& tx) { audit_login(tx, user, call, false); };
    co_await services.db.run(std::move(record));
  }
  if (refused) std::rethrow_exception(refused);
  boost::json::object body;
  body["token"] = token;
  body["expires_at"] = to_rfc3339(expires);
  body["user"] = user_json(user.id, user.login, user.display_name, user.owner);
  co_return json_reply(200, body);
}

net::Task<Reply> login(const Call& call) {
  LoginThrottle& throttle = call.services->throttle;
  const std::string name = normal_login(call.text("login"));
  if (!co_await throttle.take(name, call.address)) {
    refuse_too_many("too many failed logins; wait five minutes", kThrottleWindow);
  }
  Reply reply;
  std::exception_ptr refused;
  bool counts = false;
  try {
    reply = co_await try_login(call, name);
  } catch (const Problem& problem) {
    refused = std::current_exception();
    counts = problem.code == "unauthorized";
  } catch (const std::exception&) {
    refused = std::current_exception();
  }
  if (!refused) {
    co_await throttle.succeeded(name, call.address);
    co_return reply;
  }
  // The database away, the code still to come: nobody guessed anything.
  if (!counts) co_await throttle.give_back(name, call.address);
  std::rethrow_exception(refused);
}

Reply logout(const Call& call, Tx& tx) {
  tx.query(kRevokeToken, {call.person.token_hash, call.now});
  return no_content();
}

Reply whoami(const Call& call, Tx&) {
  boost::json::object body = user_json(call.person.id.str(), call.person.login,
                                       call.person.display_name, call.person.owner);
  boost::json::array memberships;
  for (const auto& membership : call.person.memberships) {
    boost::json::object entry;
    entry["organization_id"] = membership.organization.str();
    entry["role"] = membership.role == OrganizationRole::admin ? "admin" : "member";
    memberships.push_back(std::move(entry));
  }
  body["memberships"] = std::move(memberships);
  return json_reply(200, body);
}

Reply begin_totp(const Call& call, Tx& tx) {
  const Secret secret(random_bytes(20));
  const Bytes sealed =
      call.services->sealer.seal(secret.bytes(), totp_context(call.person.id.str()));
  if (tx.query(kBeginTotp, {call.person.id, sealed}).affected() == 0) {
    refuse(Errc::conflict, "a second factor is already in use for this account");
  }
  boost::json::object body;
  body["secret"] = to_base32(secret.bytes());
  body["uri"] = totp_uri(call.person.login, secret.bytes());
  return json_reply(200, body);
}

Reply confirm_totp(const Call& call, Tx& tx) {
  const Rows rows = tx.query(kReadTotp, {call.person.id});
  if (rows[0].boolean("totp_enabled") || !rows[0].text_or_none("totp_secret")) {
    refuse(Errc::conflict, "begin with POST /v1/auth/totp");
  }
  const Secret secret = require(
      call.services->sealer.open(rows[0].bytes("totp_secret"), totp_context(call.person.id.str())));
  const auto step = check_totp(secret.bytes(), call.text("code"), call.now, 0);
  if (!step) call.bad_field("code", "is not the current code");
  tx.query(kEnableTotp, {call.person.id, *step});
  audit(tx, Actor::of(call.person), "", {"user.totp_enabled", call.person.id.str()}, {}, call.now);
  boost::json::object body;
  body["enabled"] = true;
  return json_reply(200, body);
}

}  // namespace

std::string normal_login(std::string_view text) {
  std::string out;
  for (const char c : text) out += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  while (!out.empty() && out.back() == ' ') out.pop_back();
  while (!out.empty() && out.front() == ' ') out.erase(0, 1);
  return out;
}

bool is_login(std::string_view normal) {
  const auto first = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !normal.empty() && normal.size() <= 100 && first(normal.front()) &&
         std::ranges::all_of(normal, [&](char c) {
           return first(c) || std::string_view("._-+@").find(c) != std::string_view::npos;
         });
}

void authenticate_person(Call& call, Tx& tx) {
  const auto header = call.http->headers.find("Authorization");
  if (!header) throw Problem(401, "unauthorized", "log in first: rapctl login");
  std::string_view token = *header;
  if (!token.starts_with("Bearer ")) throw Problem(401, "unauthorized", "not a bearer token");
  token.remove_prefix(7);
  if (!token.starts_with(kTokenPrefix) || token.size() > 100) {
    throw Problem(401, "unauthorized", "not a session token");
  }
  const Sha256Digest hash = sha256(token);
  const Rows rows = tx.query(kFindToken, {ByteView(hash)});
  if (rows.empty())
    throw Problem(401, "unauthorized", "this login is not known, or was ended; log in again");
  const Row& row = rows[0];
  if (row.time("expires_at") <= call.now) {
    throw Problem(401, "expired", "the login has expired; log in again");
  }
  Person person;
  person.id = require(UserId::parse(row.text("id")));
  person.login = row.text("login");
  person.display_name = row.text("display_name");
  person.owner = row.boolean("is_owner");
  person.token_hash.assign(hash.begin(), hash.end());
  tx.enter_user(person.id);
  for (const Row& membership : tx.query(kOwnMemberships, {person.id})) {
    person.memberships.push_back(
        {require(OrganizationId::parse(membership.text("organization_id"))),
         membership.text("role") == "admin" ? OrganizationRole::admin : OrganizationRole::member});
  }
  call.person = std::move(person);
  call.authority = {row.integer("term"), row.text("state")};
}

void add_auth_routes(std::vector<Route>& routes) {
  routes.push_back(Route{"POST",
                         "/v1/auth/login",
                         Who::anyone,
                         "Log in; answers a token for 12 hours",
                         {{200, "Login"}, 401, 429},
                         TaskHandler(login),
                         {text_field("login", 1, 100), lines_field("password", 1, kPasswordMax),
                          optional_text("totp", 10)}}
                       .from_strangers());
  routes.push_back({"POST", "/v1/auth/logout", Who::person, "End this session", {204}, logout});
  routes.push_back({"GET",
                    "/v1/auth/whoami",
                    Who::person,
                    "Who I am and where I belong",
                    {{200, "WhoAmI"}},
                    whoami});
  routes.push_back({"POST",
                    "/v1/auth/totp",
                    Who::person,
                    "Begin to use an authenticator",
                    {{200, "TotpSecret"}, 409},
                    begin_totp});
  routes.push_back({"POST",
                    "/v1/auth/totp/confirm",
                    Who::person,
                    "Require the authenticator from now on",
                    {{200, "TotpState"}, 409},
                    confirm_totp,
                    {text_field("code", 6, 10)}});
}

}  // namespace rap::cp
