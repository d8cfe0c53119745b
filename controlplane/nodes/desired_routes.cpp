#include <algorithm>
#include <charconv>

#include <boost/json.hpp>

#include "controlplane/db/database.hpp"
#include "controlplane/director/director.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/nodes/desired.hpp"
#include "controlplane/nodes/routes.hpp"

namespace rap::cp {
namespace {

// Below the server's handler timeout and the idle timeouts of what is in between.
constexpr std::int64_t kWaitMaxMs = 30'000;

constexpr const char* kSeq = "select desired_seq from nodes where id = $1";
constexpr const char* kClosing = R"sql(
  select id, close_requested_by from sessions where node_id = $1 and state = 'closing' order by id
)sql";
constexpr const char* kDetaching = R"sql(
  select d.session_id, d.user_id from session_detachments d join sessions s on s.id = d.session_id
  where d.node_id = $1 and s.state not in ('closed', 'failed') order by d.session_id, d.user_id
)sql";

struct Desired {
  std::int64_t seq = 0;
  std::int64_t director_version = 0;
  std::vector<std::pair<std::string, std::string>> closing;    // session, by whose wish
  std::vector<std::pair<std::string, std::string>> detaching;  // session, whom
};

std::int64_t number_query(const Call& call, std::string_view name, std::int64_t max) {
  const auto text = call.query(name);
  if (!text) return 0;
  std::int64_t value = -1;
  const char* end = text->data() + text->size();
  if (std::from_chars(text->data(), end, value).ptr != end || value < 0) {
    refuse(Errc::invalid, std::string(name) + ": must be a number that is not negative");
  }
  return std::min(value, max);
}

Desired read_desired(const Call& call, Tx& tx) {
  tx.enter(Scope::platform());
  Desired out;
  out.director_version = call.services->director.current(tx, call.node, call.now).version;
  out.seq = tx.query(kSeq, {call.node.id})[0].integer("desired_seq");
  for (const Row& row : tx.query(kClosing, {call.node.id})) {
    out.closing.emplace_back(row.text("id"), row.text_or_none("close_requested_by").value_or(""));
  }
  for (const Row& row : tx.query(kDetaching, {call.node.id})) {
    out.detaching.emplace_back(row.text("session_id"), row.text("user_id"));
  }
  return out;
}

// [{"session_id": first, <member>: second}, ..]
boost::json::array of_sessions(const std::vector<std::pair<std::string, std::string>>& pairs,
                               std::string_view member) {
  boost::json::array out;
  for (const auto& [session, second] : pairs) {
    boost::json::object entry;
    entry["session_id"] = session;
    entry[member] = second;
    out.push_back(std::move(entry));
  }
  return out;
}

Reply desired_reply(const Desired& desired) {
  boost::json::object body;
  body["seq"] = desired.seq;
  body["director_version"] = desired.director_version;
  body["close_sessions"] = of_sessions(desired.closing, "by");
  body["detach"] = of_sessions(desired.detaching, "user_id");
  return json_reply(200, body);
}

net::Task<Reply> desired(const Call& call) {
  const Services& services = *call.services;
  const std::int64_t seen = number_query(call, "seen", std::int64_t{1} << 53);
  const std::int64_t wait_ms = number_query(call, "wait_ms", kWaitMaxMs);
  const SystemTime until = call.now + std::chrono::milliseconds(wait_ms);
  for (;;) {
    const auto changed = services.signals.subscribe(call.node.id.str());
    Desired now_desired;
    Database::Work read = [&](Tx& tx) { now_desired = read_desired(call, tx); };
    co_await services.db.run(std::move(read));
    const auto left = std::chrono::duration_cast<net::milliseconds>(until - services.clock.now());
    if (now_desired.seq > seen || left.count() <= 0) co_return desired_reply(now_desired);
    co_await changed->wait_for(left);
  }
}

}  // namespace

void add_desired_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/node/desired",
                    Who::node,
                    "What concerns the node; waits until there is something new",
                    {{200, "Desired"}},
                    TaskHandler(desired),
                    {},
                    {"seen", "wait_ms"}});
}

}  // namespace rap::cp
