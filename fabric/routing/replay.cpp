#include "fabric/routing/replay.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"
#include "fabric/routing/json_reader.hpp"
#include "fabric/routing/measurements_json.hpp"

namespace rap::routing {

namespace {

namespace json = boost::json;

constexpr std::int64_t kTimeMax = std::int64_t{1} << 60;
constexpr std::string_view kKinds[kTargetKinds] = {"node", "service", "egress-node", "egress-pool"};
constexpr std::string_view kClasses[kChannelClasses] = {"interactive", "bulk"};
constexpr std::string_view kPurposes[] = {"new-stream", "existing-stream"};

json::array ids_json(std::span<const NodeIndex> nodes, const Directory& directory) {
  json::array out;
  for (const NodeIndex node : nodes) out.emplace_back(json::string_view(directory.id(node)));
  return out;
}

std::vector<NodeIndex> read_nodes(JsonReader& reader, std::string_view key, std::size_t most,
                                  const Directory& directory) {
  std::vector<NodeIndex> out;
  for (const std::string& id : reader.texts(key, most, 64)) out.push_back(directory.find(id));
  return out;
}

}  // namespace

std::string record_decision(const Directory& directory, const Measurements& measurements,
                            const Request& request, Moment now) {
  std::vector<NodeIndex> links;
  for (const Link& link : request.excluded_links) {
    links.push_back(link.a);
    links.push_back(link.b);
  }
  json::object out{{"format", 1},
                   {"directory", json::string(to_json(directory.doc()))},
                   {"measurements", MeasurementsText::write(measurements, directory)},
                   {"now_ms", now.mono.count()},
                   {"now_us", now.wall.time_since_epoch().count()}};
  out["request"] = json::object{
      {"cluster_id", json::string_view(request.cluster_id)},
      {"origin", json::string_view(directory.id(request.origin))},
      {"kind", json::string_view(name(request.kind))},
      {"target", json::string_view(request.target)},
      {"organization", json::string_view(request.organization)},
      {"class", json::string_view(name(request.channel_class))},
      {"purpose", json::string_view(kPurposes[static_cast<std::size_t>(request.purpose)])},
      {"excluded_nodes", ids_json(request.excluded_nodes, directory)},
      {"excluded_links", ids_json(links, directory)},
      {"current", ids_json(request.current.view(), directory)},
      {"current_since", request.current_since == kNever
                            ? json::value(nullptr)
                            : json::value(request.current_since.count())}};
  return json::serialize(out);
}

Result<RecordedDecision> RecordedDecision::parse(std::string_view text) {
  auto value = parse_json(text, {.bytes_max = kRecordBytesMax, .depth_max = 16});
  if (!value) return fail(value.error(), "record");
  if (!value->is_object()) return fail(Errc::malformed, "record: want an object");
  JsonReader reader(value->get_object(), "record: ");
  if (reader.number("format", 0, 1 << 20) != 1 && reader.ok()) {
    return fail(Errc::unsupported, "record: format");
  }
  auto doc = parse_directory(reader.text("directory", kDirectoryBytesMax));
  if (!doc) return fail(doc.error(), "record");
  auto directory = Directory::compile(std::move(*doc));
  if (!directory) return fail(directory.error(), "record");
  RecordedDecision out(std::move(*directory));
  if (const json::object* object = reader.object("measurements")) {
    auto measurements = MeasurementsText::read(*object, out.directory_);
    if (!measurements) return fail(measurements.error(), "record");
    out.measurements_ = std::move(*measurements);
  }
  out.now_.mono = MonoTime{reader.number("now_ms", -kTimeMax, kTimeMax)};
  out.now_.wall =
      SystemTime(std::chrono::microseconds(reader.number("now_us", -kTimeMax, kTimeMax)));
  const json::object* object = reader.object("request");
  Status status = reader.done();
  if (!status) return fail(status.error());

  JsonReader request(*object, "record: request.");
  out.cluster_id_ = request.text("cluster_id", 64);
  out.facts_.origin = out.directory_.find(request.text("origin", 64));
  out.facts_.kind = static_cast<TargetKind>(request.one_of("kind", kKinds, kTargetKinds));
  out.target_ = request.text("target", kNameCharsMax);
  out.organization_ = request.text("organization", 64);
  out.facts_.channel_class =
      static_cast<ChannelClass>(request.one_of("class", kClasses, kChannelClasses));
  out.facts_.purpose = static_cast<Purpose>(request.one_of("purpose", kPurposes, 2));
  out.excluded_nodes_ = read_nodes(request, "excluded_nodes", kExcludedMax, out.directory_);
  const auto ends = read_nodes(request, "excluded_links", 2 * kExcludedMax, out.directory_);
  for (std::size_t i = 1; i < ends.size(); i += 2) {
    out.excluded_links_.push_back({ends[i - 1], ends[i]});
  }
  for (const NodeIndex node : read_nodes(request, "current", kPathNodesMax, out.directory_)) {
    out.facts_.current.push(node);
  }
  if (request.has("current_since")) {
    out.facts_.current_since = MonoTime{request.number("current_since", -kTimeMax, kTimeMax)};
  }
  status = request.done();
  if (!status) return fail(status.error());
  return out;
}

Request RecordedDecision::request() const {
  Request out = facts_;
  out.cluster_id = cluster_id_;
  out.target = target_;
  out.organization = organization_;
  out.excluded_nodes = excluded_nodes_;
  out.excluded_links = excluded_links_;
  return out;
}

Decision RecordedDecision::decide(std::span<Candidate> out) const {
  return routing::decide(directory_, measurements_, request(), now_, out);
}

}  // namespace rap::routing
