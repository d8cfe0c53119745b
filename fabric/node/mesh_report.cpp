#include "fabric/node/mesh_report.hpp"

#include <algorithm>
#include <cmath>

#include <boost/json.hpp>

namespace rap::fabric {
namespace {

namespace json = boost::json;
using routing::MonoTime;

// A link that was lost is told for as long as it counts against the peer by default; then it is
// history, which the control plane has.
constexpr MonoTime kLostTold{300'000};

std::int64_t age(MonoTime at, MonoTime now) {
  return std::max<std::int64_t>(0, (now - at).count());
}

// The relays over which a node is reached that others cannot dial.
json::array attached(const std::vector<LinkFacts>& links, const routing::Directory& directory) {
  std::vector<std::string> out;
  for (const LinkFacts& link : links) {
    const routing::NodeIndex node = directory.find(link.node_id);
    if (node == routing::kNoNode || !directory.has(node, routing::Role::relay_node)) continue;
    if (link.by != DialledBy::us || link.state != LinkState::active) continue;
    if (std::find(out.begin(), out.end(), link.node_id) == out.end()) out.push_back(link.node_id);
  }
  // The same ones each time.
  std::sort(out.begin(), out.end());
  if (out.size() > kReportedAttachedMax) out.resize(kReportedAttachedMax);
  json::array list;
  for (const std::string& node : out) list.emplace_back(node);
  return list;
}

json::object link_json(std::string_view peer, const routing::OwnLink& link, MonoTime now) {
  const bool up = link.state == routing::LinkState::up;
  json::object out{
      {"peer", peer}, {"state", up ? "up" : "down"}, {"for_ms", age(link.state_since, now)}};
  MonoTime newest = routing::kNever;
  const auto put = [&](const char* key, const routing::Sample& sample, double factor) {
    if (!sample.ever()) return;
    newest = newest == routing::kNever ? sample.at : std::max(newest, sample.at);
    out[key] = static_cast<std::int64_t>(std::llround(static_cast<double>(sample.value) * factor));
  };
  put("rtt_us", link.rtt_ms, 1'000);
  put("loss_permille", link.loss_permille, 1);
  put("kbps", link.kbps, 1);
  if (newest != routing::kNever) out["age_ms"] = age(newest, now);
  return out;
}

}  // namespace

json::object mesh_report(const MeshReportHead& head, const std::vector<LinkFacts>& links,
                         const routing::Directory& directory,
                         const routing::Measurements& measurements, MonoTime now) {
  json::object out{{"boot_id", head.boot_id}, {"seq", head.seq}};
  if (!head.endpoints.empty()) out["endpoints"] = json::value_from(head.endpoints);
  out["attached"] = attached(links, directory);
  if (head.load_permille) out["load_permille"] = *head.load_permille;
  if (head.draining) out["draining"] = true;
  json::array told;
  for (const auto wanted : {routing::LinkState::up, routing::LinkState::down}) {
    for (const auto& [key, link] : measurements.own_links()) {
      if (link.state != wanted || told.size() == kReportedLinksMax) continue;
      if (wanted == routing::LinkState::down && now - link.state_since > kLostTold) continue;
      told.push_back(link_json(directory.id(static_cast<routing::NodeIndex>(key)), link, now));
    }
  }
  out["links"] = std::move(told);
  return out;
}

std::string mesh_report_gist(const json::object& report) {
  json::object gist;
  for (const char* key : {"endpoints", "attached", "draining"}) {
    if (const json::value* value = report.if_contains(key)) gist[key] = *value;
  }
  json::array links;
  for (const json::value& link : report.at("links").as_array()) {
    links.push_back({link.at("peer"), link.at("state")});
  }
  gist["links"] = std::move(links);
  return json::serialize(gist);
}

}  // namespace rap::fabric
