// Releases and the audit log.
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "cli/cli.hpp"
#include "cli/event_who.hpp"

namespace rap::cli {
namespace {

const std::vector<Column> kReleaseColumns = {{"PRODUCT", "product"},
                                             {"VERSION", "version"},
                                             {"SEQ", "release_seq"},
                                             {"EPOCH", "security_epoch"},
                                             {"LISTED", "listed"},
                                             {"SYNCED", "synced_at"},
                                             {"ID", "id"}};
const std::vector<Column> kEventColumns = {
    {"AT", "at"}, {"KIND", "kind"}, {"WHO", "who"}, {"SUBJECT", "subject"}, {"SEQ", "seq"}};
// Of several chains, whose numbers have nothing to do with each other.
const std::vector<Column> kOrganizationEventColumns(kEventColumns.begin(), kEventColumns.end() - 1);

// What a person looks through; further back goes with --limit.
constexpr std::size_t kEventsShown = 200;

struct Options {
  std::string cluster, organization;
  std::size_t limit = kEventsShown;
};

void add_release(CLI::App& app, Cli& cli) {
  CLI::App& release = add_command(app, "release", "What Version Storage offers");
  release.require_subcommand(1);
  add_list(release, cli, "List known releases", "/v1/releases", kReleaseColumns);
  add_command(release, "sync",
              "Read Version Storage now: what was published becomes known, what is listed no more "
              "is marked so")
      .callback([&cli] {
        const json::value answer = cli.api().post("/v1/releases/sync");
        std::string line = "Version Storage lists " + text_at(answer, "releases") +
                           " releases: " + text_at(answer, "added") + " new, " +
                           text_at(answer, "unlisted") + " no longer listed";
        const json::object* object = answer.if_object();
        const json::value* skipped = object ? object->if_contains("skipped") : nullptr;
        if (skipped && skipped->is_array()) {
          for (const json::value& one : skipped->get_array()) {
            if (one.is_string()) line += "\n  left out: " + std::string(one.get_string());
          }
        }
        cli.done(line, answer);
      });
}

void add_audit(CLI::App& app, Cli& cli) {
  CLI::App& audit = add_command(app, "audit", "What happened, in an order that cannot be changed");
  audit.require_subcommand(1);
  const auto o = std::make_shared<Options>();
  CLI::App& list = add_command(audit, "list", "List events, the newest first",
                               "  rapctl audit list --cluster berlin\n"
                               "  rapctl audit list --organization acme --limit 1000 -o json\n"
                               "Events of a cluster are numbered without gaps. Those of an "
                               "organization lie in the\nchains of its clusters and of the "
                               "platform: they come by the time they were noted.\n"
                               "What a node tells of a person is shown as NAME via node NODE.\n");
  list.add_option("--cluster", o->cluster, "Events of a cluster; not needed when there is one");
  list.add_option("--organization", o->organization, "Events of an organization instead");
  list.add_option("--limit", o->limit, "How many, 200 unless given, at most 10000")
      ->check(CLI::Range(std::size_t{1}, kListItemsMax));
  list.callback([&cli, o] {
    const auto events = [&](const std::string& path) {
      json::array out = cli.api().list(path + "/audit-events?order=newest", o->limit);
      if (cli.output == "json") return out;
      for (json::value& event : out) event.as_object()["who"] = who_of(event);
      return out;
    };
    if (!o->organization.empty()) {
      cli.list(events("/v1/organizations/" + cli.organization(o->organization)),
               kOrganizationEventColumns);
      return;
    }
    try {
      cli.list(events("/v1/clusters/" + cli.cluster(o->cluster)), kEventColumns);
    } catch (const Failure& failure) {
      if (failure.code != Exit::forbidden) throw;
      throw Failure(failure.code, failure.what(),
                    "admins read their organization's: rapctl audit list --organization NAME");
    }
  });
  CLI::App& verify = add_command(audit, "verify", "Check the chain of a cluster's events");
  add_cluster_option(verify, o->cluster);
  verify.callback([&cli, o] {
    const json::value answer =
        cli.api().get("/v1/clusters/" + cli.cluster(o->cluster) + "/audit-events/verify");
    const bool good = text_at(answer, "valid") == "yes";
    cli.done(good ? "the chain of events is whole"
                  : "the chain of events is BROKEN: " + json::serialize(answer),
             answer);
    if (!good) cli.status = static_cast<int>(Exit::error);
  });
}

}  // namespace

void add_operation_commands(CLI::App& app, Cli& cli) {
  add_release(app, cli);
  add_audit(app, cli);
}

}  // namespace rap::cli
