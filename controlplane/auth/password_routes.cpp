// A new password: by the person, who knows the old one, or by an owner for somebody else.
#include <boost/json.hpp>

#include "controlplane/audit/audit.hpp"
#include "controlplane/auth/password.hpp"
#include "controlplane/auth/people.hpp"
#include "controlplane/auth/throttle.hpp"
#include "controlplane/auth/tokens.hpp"
#include "controlplane/db/database.hpp"
#include "controlplane/http/services.hpp"

namespace rap::cp {
namespace {

constexpr const char* kHash = "select password_hash from users where id = $1";
// Of two changes at once the second is of a password that is not there any more.
constexpr const char* kReplace = R"sql(
  update users set password_hash = $3, revision = revision + 1, updated_at = $4
  where id = $1 and password_hash = $2 and status = 'active'
)sql";
constexpr const char* kReset = R"sql(
  update users set password_hash = $2, revision = revision + 1, updated_at = $3 where id = $1
)sql";

Reply done(Tx& tx, const Call& call, const char* kind, const UserId& user, const Bytes& spared) {
  boost::json::object detail;
  detail["count"] = revoke_tokens(tx, user, spared, call.now);
  audit(tx, Actor::of(call.person), "", {kind, user.str()}, detail, call.now);
  return json_reply(200, detail);
}

net::Task<Reply> change_own(const Call& call) {
  const Services& services = *call.services;
  const std::string fresh = call.text("new_password");
  require(check_password_choice(fresh));
  // Whoever found a terminal unlocked guesses no faster than at the login.
  const std::string login = call.person.login;
  if (!co_await services.throttle.take(login, call.address)) {
    Problem problem(429, "exhausted", "too many wrong passwords; wait five minutes");
    problem.retry_after_s = static_cast<int>(kThrottleWindow.count());
    throw problem;
  }
  std::string old_hash;
  Database::Work find = [&](Tx& tx) {
    old_hash = tx.query(kHash, {call.person.id})[0].text("password_hash");
  };
  co_await services.db.run(std::move(find));
  if (!co_await services.passwords.verify(call.text("old_password"), old_hash)) {
    Database::Work note = [&](Tx& tx) {
      audit(tx, Actor::of(call.person), "", {"user.password_refused", call.person.id.str()}, {},
            call.now);
    };
    co_await services.db.run(std::move(note));
    refuse(Errc::forbidden, "the old password is wrong");
  }
  co_await services.throttle.succeeded(login, call.address);
  // After the old one was seen to be right: else it would be a way to guess it.
  if (fresh == call.text("old_password")) call.bad_field("new_password", "is the old one");
  const std::string hash = co_await services.passwords.hash(fresh);
  Reply reply;
  Database::Work work = [&](Tx& tx) {
    if (tx.query(kReplace, {call.person.id, old_hash, hash, call.now}).affected() == 0) {
      refuse(Errc::conflict, "the password was changed meanwhile");
    }
    reply = done(tx, call, "user.password_changed", call.person.id, call.person.token_hash);
  };
  co_await services.db.run(std::move(work));
  co_return reply;
}

net::Task<Reply> reset(const Call& call) {
  const auto user = call.path_id<UserId>("id");
  // The one who has an owner's token must still not have the account.
  if (user == call.person.id) {
    refuse(Errc::conflict,
           "one's own password is changed with the old one: rapctl password change "
           "(POST /v1/auth/password)");
  }
  const std::string fresh = call.text("password");
  require(check_password_choice(fresh));
  const std::string hash = co_await call.services->passwords.hash(fresh);
  Reply reply;
  Database::Work work = [&](Tx& tx) {
    if (tx.query(kReset, {user, hash, call.now}).affected() == 0) refuse_not_found();
    reply = done(tx, call, "user.password_reset", user, {});
  };
  co_await call.services->db.run(std::move(work));
  co_return reply;
}

}  // namespace

void add_password_routes(std::vector<Route>& routes) {
  routes.push_back({"POST",
                    "/v1/auth/password",
                    Who::person,
                    "Change my password; my other logins end",
                    {{200, "TokensRevoked"}, 403, 409, 429},
                    TaskHandler(change_own),
                    {lines_field("old_password", 1, kPasswordMax),
                     lines_field("new_password", kPasswordMin, kPasswordMax)}});
  routes.push_back({"POST",
                    "/v1/users/{id}/password",
                    Who::owner,
                    "Give a person a new password; their logins end",
                    {{200, "TokensRevoked"}, 404, 409},
                    TaskHandler(reset),
                    {lines_field("password", kPasswordMin, kPasswordMax)}});
}

}  // namespace rap::cp
