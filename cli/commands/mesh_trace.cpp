// `rapctl mesh trace`: the ways of a stream, as entries take them now.
#include "cli/mesh_trace.hpp"

#include <fmt/format.h>

#include <map>
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "base/id.hpp"
#include "cli/cli.hpp"
#include "cli/run_task.hpp"

namespace rap::cli {
namespace {

// For as long as somebody looks at it.
constexpr std::chrono::hours kIdentityLife{1};
// As many as make a p99; a thousand take a minute over a slow way.
constexpr std::size_t kEchoes = 10;
constexpr std::size_t kEchoesMax = 1'000;

const std::vector<Column> kTraceColumns = {
    {"ENTRY", "entry"},  {"HOP", "hop"},      {"NODE", "node"},    {"ROUND TRIP", "link"},
    {"ECHO P50", "p50"}, {"ECHO P99", "p99"}, {"DETAIL", "detail"}};

struct Options {
  std::string cluster, to;
  std::size_t echoes = kEchoes;
};

struct Traced {
  std::string cluster_id;
  std::string to;  // nod_.. or svc_..
};

// The service that a session is reached by: of its organization, on its node.
Traced of_session(Cli& cli, const std::string& session) {
  const json::value shown = cli.api().get("/v1/sessions/" + session);
  const std::string node = text_at(shown, "node_id");
  const json::value mesh = cli.api().get("/v1/nodes/" + node + "/mesh");
  for (const json::value& key : mesh.as_object().at("keys").as_array()) {
    const bool ours = text_at(key, "purpose") == "service" &&
                      text_at(key, "organization_id") == text_at(shown, "organization_id");
    if (ours) return {text_at(shown, "cluster_id"), text_at(key, "service_id")};
  }
  throw Failure(Exit::unavailable, "session " + session + " is not reached over the mesh",
                "its node has no certificate for a service of the organization: rapctl mesh node "
                "show " +
                    node);
}

Traced target_of(Cli& cli, const Options& o) {
  if (is_id_text(o.to, "ses_")) return of_session(cli, o.to);
  if (o.to.starts_with("pool:")) {
    throw Failure(Exit::usage, "a pool is many nodes", "trace one of them by its name");
  }
  const bool service = o.to.starts_with("svc_");
  return {cli.cluster(o.cluster), service ? o.to : cli.node(o.to)};
}

// Names of nodes that are hops; the id where there is none.
class Names {
 public:
  explicit Names(Cli& cli) : cli_(cli) {}

  const std::string& of(const std::string& node) {
    const auto [at, fresh] = known_.try_emplace(node, node);
    if (!fresh) return at->second;
    try {
      at->second = text_at(cli_.api().get("/v1/nodes/" + node), "name");
    } catch (const Failure&) {  // revoked a moment ago
    }
    return at->second;
  }

 private:
  Cli& cli_;
  std::map<std::string, std::string> known_;
};

std::string ms(double value) {
  return fmt::format("{:.2f} ms", value);
}

void add_rows(const EntryTrace& trace, Names& names, json::array& rows) {
  for (std::size_t i = 0; i < trace.hops.size(); ++i) {
    json::object row{{"entry", trace.entry},
                     {"hop", i + 1},
                     {"node", names.of(trace.hops[i].node)},
                     {"link", ms(link_ms(trace, i))}};
    if (i + 1 == trace.hops.size() && !trace.echo_ms.empty()) {
      row["p50"] = ms(quantile(trace.echo_ms, 0.5));
      row["p99"] = ms(quantile(trace.echo_ms, 0.99));
    }
    rows.push_back(std::move(row));
  }
  if (trace.failed) rows.push_back({{"entry", trace.entry}, {"detail", trace.failed->text()}});
}

json::object to_json(const EntryTrace& trace, Names& names) {
  json::object out{{"entry", trace.entry}, {"error", nullptr}, {"echo", nullptr}};
  if (trace.failed) {
    out["error"] = {{"code", name(trace.failed->code)}, {"detail", trace.failed->detail}};
  }
  out["connected_ms"] = trace.connected_ms;
  out["opened_ms"] = trace.opened_ms;
  json::array hops;
  for (std::size_t i = 0; i < trace.hops.size(); ++i) {
    const fabric::HopTime& hop = trace.hops[i];
    hops.push_back({{"node_id", hop.node},
                    {"node_name", names.of(hop.node)},
                    {"round_trip_ms", link_ms(trace, i)},
                    {"setup_ms", hop.setup_ms}});
  }
  out["hops"] = std::move(hops);
  if (!trace.echo_ms.empty()) {
    out["echo"] = {{"count", trace.echo_ms.size()},
                   {"p50_ms", quantile(trace.echo_ms, 0.5)},
                   {"p99_ms", quantile(trace.echo_ms, 0.99)}};
  }
  return out;
}

std::vector<EntryTrace> trace_all(Cli& cli, const Options& o, const Traced& to) {
  TraceWish wish;
  wish.identity = net::make_self_signed_identity("rapctl", kIdentityLife);
  const auto facts =
      require(net::parse_certificate_pem(wish.identity.certificate_pem), "certificate");
  json::object body;
  body["to"] = to.to;
  body["client_certificate_sha256"] = to_base64url(facts.sha256);
  const json::value answer = cli.api().post("/v1/clusters/" + to.cluster_id + "/mesh-trace", body);
  wish.access = require(parse_trace_access(answer), "answer of the server");
  wish.cluster_id = to.cluster_id;
  wish.echoes = o.echoes;
  net::asio::io_context io{1};
  std::vector<EntryTrace> out;
  for (std::size_t i = 0; i < wish.access.entries.size(); ++i) {
    out.push_back(run_task(io, trace_entry(wish, i)));
  }
  return out;
}

void print(Cli& cli, const std::vector<EntryTrace>& traces) {
  Names names(cli);
  json::array rows;
  for (const EntryTrace& trace : traces) {
    if (cli.output == "json") {
      rows.push_back(to_json(trace, names));
    } else {
      add_rows(trace, names, rows);
    }
  }
  cli.list(rows, kTraceColumns);
}

}  // namespace

void add_mesh_trace(CLI::App& mesh, Cli& cli) {
  const auto o = std::make_shared<Options>();
  CLI::App& trace = add_command(mesh, "trace", "The way that a stream takes from each entry now",
                                "  rapctl mesh trace --to berlin-1\n"
                                "  rapctl mesh trace --to ses_... -c 100\n"
                                "  rapctl mesh trace --to svc_... -o json\n");
  add_cluster_option(trace, o->cluster);
  trace.add_option("--to", o->to, "A node, a service (svc_..) or a session (ses_..)")->required();
  trace.add_option("-c,--count", o->echoes, "Round trips to its end, 10 unless given")
      ->check(CLI::Range(std::size_t{0}, kEchoesMax));
  trace.callback([&cli, o] {
    const Traced to = target_of(cli, *o);
    const std::vector<EntryTrace> traces = trace_all(cli, *o, to);
    print(cli, traces);
    // One way that works is an answer; without any the last reason is the status.
    bool reached = false;
    for (const EntryTrace& one : traces) reached = reached || !one.failed;
    if (!reached) cli.status = static_cast<int>(exit_of(traces.back().failed->code));
  });
}

}  // namespace rap::cli
