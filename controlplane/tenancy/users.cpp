#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/auth/password.hpp"
#include "controlplane/auth/people.hpp"
#include "controlplane/db/database.hpp"
#include "controlplane/http/idempotency.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/tenancy/routes.hpp"
#include "controlplane/tenancy/user_json.hpp"

namespace rap::cp {
namespace {

constexpr const char* kTaken = "select 1 as one from users where login = $1";
constexpr const char* kInsert = R"sql(
  insert into users (id, login, display_name, password_hash) values ($1, $2, $3, $4)
  returning id, login, display_name, is_owner, status, totp_enabled, created_at
)sql";
constexpr const char* kList = R"sql(
  select id, login, display_name, is_owner, status, totp_enabled, created_at from users
  where id > $1 order by id limit $2
)sql";

Reply insert(const Call& call, Tx& tx, const std::string& login, const std::string& hash) {
  if (!tx.query(kTaken, {login}).empty()) refuse(Errc::conflict, "the login is taken");
  const auto id = UserId::fresh();
  const Rows rows = tx.query(kInsert, {id, login, call.text("display_name"), hash});
  boost::json::object detail;
  detail["login"] = login;
  audit(tx, Actor::of(call.person), "", {"user.created", id.str()}, detail, call.now);
  return json_reply(201, user_json(rows[0]));
}

net::Task<Reply> create(const Call& call) {
  const std::string password = call.text("password");
  require(check_password_choice(password));
  const std::string login = normal_login(call.text("login"));
  if (!is_login(login)) call.bad_field("login", std::string(kLoginRule));
  const std::string hash = co_await call.services->passwords.hash(password);
  Reply reply;
  Database::Work work = [&](Tx& tx) {
    reply = with_idempotency_key(
        call, tx, [&](const Call& given, Tx& inner) { return insert(given, inner, login, hash); });
  };
  co_await call.services->db.run(std::move(work));
  co_return reply;
}

Reply list(const Call& call, Tx& tx) {
  const Page page = page_of(call);
  return page_reply(page, tx.query(kList, {page.after, page.fetch()}), user_json);
}

}  // namespace

boost::json::object user_json(const Row& row) {
  boost::json::object out;
  for (const char* key : {"id", "login", "display_name", "status"}) out[key] = row.text(key);
  out["owner"] = row.boolean("is_owner");
  out["totp_enabled"] = row.boolean("totp_enabled");
  out["created_at"] = to_rfc3339(row.time("created_at"));
  return out;
}

void add_user_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/users",
                    Who::owner,
                    "List people",
                    {{200, "UserList"}},
                    list,
                    {},
                    {"limit", "cursor"}});
  routes.push_back(Route{"POST",
                         "/v1/users",
                         Who::owner,
                         "Create a person",
                         {{201, "User"}, 409},
                         TaskHandler(create),
                         {text_field("login", 1, 100), text_field("display_name"),
                          lines_field("password", kPasswordMin, kPasswordMax)}}
                       .creating());
}

}  // namespace rap::cp
