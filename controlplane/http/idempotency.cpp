#include "controlplane/http/idempotency.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/secrets/sealer.hpp"

namespace rap::cp {
namespace {

// Waits for another transaction with the same key, so two at once do the work once.
constexpr const char* kClaim = R"sql(
  insert into idempotency_keys (principal, key, route, body_mac, created_at)
  values ($1, $2, $3, $4, $5) on conflict (principal, key) do nothing
)sql";
constexpr const char* kFind = R"sql(
  select route, body_mac, status, response, created_at from idempotency_keys
  where principal = $1 and key = $2
)sql";
constexpr const char* kForget = "delete from idempotency_keys where principal = $1 and key = $2";
constexpr const char* kStore = R"sql(
  update idempotency_keys set status = $3, response = $4 where principal = $1 and key = $2
)sql";

std::string context_of(const std::string& principal, const std::string& key) {
  return "idempotency|" + principal + "|" + key;
}

Reply earlier(const Call& call, const Row& row, const std::string& context) {
  const Secret opened = require(call.services->sealer.open(row.bytes("response"), context));
  const auto stored = boost::json::parse(std::string(opened.text())).as_object();
  Reply reply;
  reply.status = static_cast<unsigned>(row.integer("status"));
  reply.body = std::string(stored.at("body").as_string());
  reply.etag = std::string(stored.at("etag").as_string());
  return reply;
}

}  // namespace

Reply with_idempotency(const Route& route, const Call& call, Tx& tx,
                       const TransactionHandler& handler) {
  return route.creates ? with_idempotency_key(call, tx, handler) : handler(call, tx);
}

Reply with_idempotency_key(const Call& call, Tx& tx, const TransactionHandler& handler) {
  const auto given = call.http->headers.find("Idempotency-Key");
  if (!given) return handler(call, tx);
  if (given->empty() || given->size() > kIdempotencyKeyMax) {
    refuse(Errc::invalid, "Idempotency-Key: from 1 to 64 characters");
  }
  const std::string key(*given);
  const std::string principal = call.person.id.str();
  const std::string where = fmt::format("{} {}", call.method, call.path);
  // Keyed: bodies hold passwords and secrets, which a plain hash would let a reader of the database
  // guess.
  const Sha256Digest body =
      call.services->sealer.mac(as_bytes(call.http->body), context_of(principal, key));
  const auto claim = [&] {
    return tx.query(kClaim, {principal, key, where, ByteView(body), call.now}).affected() == 1;
  };
  if (!claim()) {
    const Rows rows = tx.query(kFind, {principal, key});
    if (rows[0].time("created_at") + kIdempotencyLife <= call.now) {
      tx.query(kForget, {principal, key});
      claim();
    } else if (rows[0].text("route") != where ||
               !equal_constant_time(rows[0].bytes("body_mac"), body)) {
      throw Problem(422, "conflict", "this Idempotency-Key was used for another request");
    } else {
      return earlier(call, rows[0], context_of(principal, key));
    }
  }
  Reply reply = handler(call, tx);
  boost::json::object stored;
  stored["body"] = reply.body;
  stored["etag"] = reply.etag;
  const std::string text = boost::json::serialize(stored);
  tx.query(kStore, {principal, key, reply.status,
                    call.services->sealer.seal(as_bytes(text), context_of(principal, key))});
  return reply;
}

}  // namespace rap::cp
