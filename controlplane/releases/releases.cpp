#include <boost/json.hpp>

#include "base/log.hpp"
#include "base/net/blocking_pool.hpp"
#include "controlplane/audit/audit.hpp"
#include "controlplane/config/config.hpp"
#include "controlplane/db/database.hpp"
#include "controlplane/http/page.hpp"
#include "controlplane/http/services.hpp"
#include "controlplane/nodes/desired.hpp"
#include "controlplane/releases/routes.hpp"
#include "controlplane/releases/sync.hpp"

namespace rap::cp {
namespace {

constexpr const char* kList = R"sql(
  select id, product, version, release_seq, security_epoch, manifest_sha256, manifest, listed,
         synced_at, created_at
  from releases where id > $1 order by id limit $2
)sql";

boost::json::object to_json(const Row& row) {
  boost::json::object out;
  for (const char* key : {"id", "product", "version"}) out[key] = row.text(key);
  out["release_seq"] = row.integer("release_seq");
  out["security_epoch"] = row.integer("security_epoch");
  out["manifest_sha256"] = to_hex(row.bytes("manifest_sha256"));
  out["manifest"] = row.json("manifest");
  out["listed"] = row.boolean("listed");
  out["synced_at"] = to_rfc3339(row.time("synced_at"));
  out["created_at"] = to_rfc3339(row.time("created_at"));
  return out;
}

Reply list(const Call& call, Tx& tx) {
  const Page page = page_of(call);
  return page_reply(page, tx.query(kList, {page.after, page.fetch()}), to_json);
}

net::Task<Reply> sync(const Call& call) {
  const Services& services = *call.services;
  auto read = [&services] {
    return read_version_storage(services.config.version_storage,
                                services.config.data_dir / "release-metadata", services.clock);
  };
  net::BlockingPool pool(1);
  auto found = co_await net::run_blocking(pool, std::move(read));
  if (!found) {
    log::warn("version storage refused", {{"detail", found.error().text()}});
    throw Problem(422, std::string(name(found.error().code)), found.error().detail);
  }
  SyncReport report;
  Database::Work store = [&](Tx& tx) {
    report = store_releases(tx, *found, call.now);
    desired_changed_everywhere(tx);
    boost::json::object detail;
    detail["releases"] = report.releases;
    detail["added"] = report.added;
    detail["unlisted"] = report.unlisted;
    audit(tx, Actor::of(call.person), "", {"releases.synced", "version-storage"}, detail, call.now);
  };
  co_await services.db.run(std::move(store));
  boost::json::array skipped;
  for (const std::string& text : found->skipped) skipped.emplace_back(text);
  boost::json::object body;
  body["releases"] = report.releases;
  body["added"] = report.added;
  body["unlisted"] = report.unlisted;
  body["skipped"] = std::move(skipped);
  co_return json_reply(200, body);
}

}  // namespace

void add_release_routes(std::vector<Route>& routes) {
  routes.push_back({"GET",
                    "/v1/releases",
                    Who::owner,
                    "List releases that Version Storage has",
                    {{200, "ReleaseList"}},
                    list,
                    {},
                    {"limit", "cursor"}});
  routes.push_back({"POST",
                    "/v1/releases/sync",
                    Who::owner,
                    "Read Version Storage as a verifying client",
                    {{200, "ReleaseSync"}, 422},
                    TaskHandler(sync)});
}

}  // namespace rap::cp
