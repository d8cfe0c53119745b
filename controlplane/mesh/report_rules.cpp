#include "controlplane/mesh/report_rules.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include <boost/json.hpp>

#include "base/id.hpp"
#include "base/json.hpp"
#include "controlplane/mesh/names.hpp"

namespace rap::cp {
namespace {

namespace json = boost::json;

constexpr std::size_t kBootIdMax = 100;
constexpr std::int64_t kSeqMax =
    (std::int64_t{1} << 53) - 1;  // what every JSON reader holds exactly
// Longer than a node keeps a figure or is up; more is not a time.
constexpr std::int64_t kAgeMsMax = 366LL * 86'400'000;
// As fabric/routing takes them: longer than any deadline, 1 Tbit/s.
constexpr std::int64_t kRttUsMax = 60'000'000;
constexpr std::int64_t kKbpsMax = 1'000'000'000;

// Reads members of one object and remembers the first that is wrong.
class Reader {
 public:
  Reader(const json::object& object, std::string where)
      : object_(object), where_(std::move(where)) {}

  std::optional<std::int64_t> number(std::string_view key, std::int64_t least, std::int64_t most) {
    const json::value* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_int64() || value->get_int64() < least || value->get_int64() > most) {
      wrong(key, "is not from " + std::to_string(least) + " to " + std::to_string(most));
      return std::nullopt;
    }
    return value->get_int64();
  }
  bool flag(std::string_view key) {
    const json::value* value = find(key);
    if (value == nullptr) return false;
    if (!value->is_bool()) wrong(key, "is not true or false");
    return value->is_bool() && value->get_bool();
  }
  std::string text(std::string_view key) {
    const json::value* value = find(key);
    if (value != nullptr && value->is_string()) return std::string(value->get_string());
    wrong(key, "is not a text");
    return {};
  }
  const json::array* array(std::string_view key, std::size_t most) {
    static const json::array kNone;
    const json::value* value = find(key);
    if (value == nullptr) return &kNone;
    if (value->is_array() && value->get_array().size() <= most) return &value->get_array();
    wrong(key, "is not a list of at most " + std::to_string(most));
    return &kNone;
  }
  // Each once, as `good` says.
  template <typename Good>
  std::vector<std::string> texts(std::string_view key, std::size_t most, Good good) {
    std::vector<std::string> out;
    for (const json::value& item : *array(key, most)) {
      const std::string text(item.is_string() ? std::string_view(item.get_string()) : "");
      if (!good(text) || std::ranges::find(out, text) != out.end()) {
        wrong(key, "has one that is none, or one twice");
        return {};
      }
      out.push_back(text);
    }
    return out;
  }
  void wrong(std::string_view key, const std::string& what) {
    if (!error_) error_ = Error{Errc::invalid, where_ + std::string(key) + " " + what};
  }
  void no_others(std::initializer_list<std::string_view> known) {
    for (const auto& member : object_) {
      if (std::ranges::find(known, std::string_view(member.key())) == known.end()) {
        wrong("a member", "that a report does not have");
      }
    }
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  const json::value* find(std::string_view key) const {
    const json::value* value = object_.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  const json::object& object_;
  std::string where_;
  std::optional<Error> error_;
};

bool is_node_id(std::string_view text) {
  return NodeId::parse(text).has_value();
}

Result<ReportedLink> parse_link(const json::object& object, SystemTime received) {
  Reader reader(object, "links: ");
  ReportedLink out;
  out.peer = reader.text("peer");
  if (!is_node_id(out.peer)) reader.wrong("peer", "is no node");
  const std::string state = reader.text("state");
  if (state != "up" && state != "down") reader.wrong("state", "is not up or down");
  out.up = state == "up";
  const auto age = [&](std::string_view key) {
    return received - std::chrono::milliseconds(reader.number(key, 0, kAgeMsMax).value_or(0));
  };
  out.since = age("for_ms");
  out.measured = age("age_ms");
  out.rtt_us = reader.number("rtt_us", 0, kRttUsMax);
  out.loss_permille = reader.number("loss_permille", 0, 1000);
  out.kbps = reader.number("kbps", 0, kKbpsMax);
  reader.no_others({"peer", "state", "for_ms", "age_ms", "rtt_us", "loss_permille", "kbps"});
  if (reader.error()) return fail(*reader.error());
  return out;
}

std::int64_t to_ms(SystemTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}
SystemTime from_ms(std::int64_t ms) {
  return SystemTime(std::chrono::milliseconds(ms));
}

}  // namespace

Result<MeshReport> parse_mesh_report(const json::object& object, std::string_view reporter,
                                     SystemTime received) {
  Reader reader(object, "");
  MeshReport out;
  out.boot_id = reader.text("boot_id");
  if (out.boot_id.empty() || out.boot_id.size() > kBootIdMax) {
    reader.wrong("boot_id", "is not of 1 to 100 bytes");
  }
  const auto seq = reader.number("seq", 1, kSeqMax);
  if (!seq) reader.wrong("seq", "is required");
  out.seq = seq.value_or(0);
  out.endpoints = reader.texts("endpoints", kReportEndpointsMax, is_mesh_endpoint);
  out.attached = reader.texts("attached", kReportAttachedMax, is_node_id);
  out.load_permille = reader.number("load_permille", 0, 1000);
  out.draining = reader.flag("draining");
  std::set<std::string> seen{std::string(reporter)};
  if (std::ranges::find(out.attached, reporter) != out.attached.end()) {
    reader.wrong("attached", "names the node itself");
  }
  for (const json::value& item : *reader.array("links", kReportLinksMax)) {
    if (!item.is_object()) return fail(Errc::invalid, "links: want objects");
    auto link = parse_link(item.get_object(), received);
    if (!link) return fail(link.error());
    if (!seen.insert(link->peer).second) reader.wrong("links", "has a peer twice, or itself");
    out.links.push_back(std::move(*link));
  }
  reader.no_others(
      {"boot_id", "seq", "endpoints", "attached", "load_permille", "draining", "links"});
  if (reader.error()) return fail(*reader.error());
  return out;
}

bool is_newer(const MeshReport& report, const ReportOrder& stored) {
  if (report.boot_id == stored.boot_id) return report.seq > stored.seq;
  return report.boot_id != stored.previous_boot_id;
}

json::array links_to_json(const std::vector<ReportedLink>& links) {
  json::array out;
  for (const ReportedLink& link : links) {
    json::object item{{"peer", link.peer},
                      {"up", link.up},
                      {"since", to_ms(link.since)},
                      {"at", to_ms(link.measured)}};
    if (link.rtt_us) item["rtt_us"] = *link.rtt_us;
    if (link.loss_permille) item["loss_permille"] = *link.loss_permille;
    if (link.kbps) item["kbps"] = *link.kbps;
    out.push_back(std::move(item));
  }
  return out;
}

std::vector<ReportedLink> links_from_json(const json::array& stored) {
  std::vector<ReportedLink> out;
  for (const json::value& item : stored) {
    const json::object* object = item.if_object();
    if (object == nullptr) continue;
    const json::value* up = object->if_contains("up");
    ReportedLink link;
    link.peer = json_string_or_none(*object, "peer").value_or("");
    if (link.peer.empty() || up == nullptr || !up->is_bool()) continue;
    link.up = up->get_bool();
    link.since = from_ms(json_int_or_none(*object, "since").value_or(0));
    link.measured = from_ms(json_int_or_none(*object, "at").value_or(0));
    link.rtt_us = json_int_or_none(*object, "rtt_us");
    link.loss_permille = json_int_or_none(*object, "loss_permille");
    link.kbps = json_int_or_none(*object, "kbps");
    out.push_back(std::move(link));
  }
  return out;
}

std::vector<LinkChange> link_changes(const std::vector<ReportedLink>& before,
                                     const std::vector<ReportedLink>& after, SystemTime now) {
  std::map<std::string_view, bool> was;
  for (const ReportedLink& link : before) was.emplace(link.peer, link.up);
  std::vector<LinkChange> out;
  for (const ReportedLink& link : after) {
    const auto known = was.find(link.peer);
    const bool changed = known == was.end() ? link.up : known->second != link.up;
    if (changed) out.push_back({link.peer, link.up, link.since});
    if (known != was.end()) was.erase(known);
  }
  for (const auto& [peer, up] : was) {
    if (up) out.push_back({std::string(peer), false, now});
  }
  return out;
}

std::optional<std::int64_t> load_to_tell(std::optional<std::int64_t> told,
                                         std::optional<std::int64_t> load) {
  if (!load || !told) return load;
  return std::abs(*load - *told) >= kLoadStep ? load : told;
}

}  // namespace rap::cp
