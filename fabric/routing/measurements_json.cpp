#include "fabric/routing/measurements_json.hpp"

#include <cmath>

#include <boost/json.hpp>

#include "fabric/routing/json_reader.hpp"

namespace rap::routing {

namespace {

namespace json = boost::json;

constexpr std::int64_t kTimeMax = std::int64_t{1} << 53;
constexpr std::string_view kStates[] = {"unknown", "up", "down"};

json::value time_json(MonoTime time) {
  if (time == kNever) return nullptr;
  return time.count();
}

json::value sample_json(const Sample& sample) {
  if (!sample.ever()) return nullptr;
  return json::array{sample.value, sample.at.count()};
}

json::string_view state_name(LinkState state) {
  return json::string_view(kStates[static_cast<std::size_t>(state)]);
}

MonoTime read_time(JsonReader& reader, std::string_view key) {
  if (!reader.has(key)) return kNever;
  return MonoTime{reader.number(key, -kTimeMax, kTimeMax)};
}

float read_float(JsonReader& reader, std::string_view key, const json::value& value) {
  const double number = value.is_double()  ? value.get_double()
                        : value.is_int64() ? static_cast<double>(value.get_int64())
                                           : std::nan("");
  if (!(std::abs(number) <= 1e9)) reader.wrong(Errc::invalid, key, "want a number to 1e9");
  return static_cast<float>(number);
}

Sample read_sample(JsonReader& reader, std::string_view key) {
  if (!reader.has(key)) return {};
  const json::array* pair = reader.array(key, 2);
  if (pair == nullptr) return {};
  if (pair->size() != 2 || !(*pair)[1].is_int64() || std::abs((*pair)[1].get_int64()) > kTimeMax) {
    reader.wrong(Errc::invalid, key, "want [value, ms]");
    return {};
  }
  return {read_float(reader, key, (*pair)[0]), MonoTime{(*pair)[1].get_int64()}};
}

NodeIndex read_node(JsonReader& reader, std::string_view key, const Directory& directory) {
  const NodeIndex node = directory.find(reader.text(key, 64));
  if (node == kNoNode) reader.wrong(Errc::invalid, key, "not a node of the directory");
  return node;
}

template <typename Read>
Status each(JsonReader& parent, std::string_view key, std::size_t most, Read read) {
  const json::array* array = parent.array(key, most);
  if (array == nullptr) return parent.done();
  for (const json::value& value : *array) {
    if (!value.is_object()) return fail(Errc::invalid, std::string(key) + ": want objects");
    JsonReader reader(value.get_object(), std::string(key) + ": ");
    read(reader);
    const Status status = reader.done();
    if (!status) return status;
  }
  return {};
}

}  // namespace

json::object MeasurementsText::write(const Measurements& measurements, const Directory& directory) {
  const auto id = [&](std::uint64_t node) {
    return json::string_view(directory.id(static_cast<NodeIndex>(node)));
  };
  json::array own, told, loads;
  for (const auto& [peer, link] : measurements.own_.entries()) {
    own.push_back(json::object{{"peer", id(peer)},
                               {"state", state_name(link.state)},
                               {"state_since", time_json(link.state_since)},
                               {"rtt_ms", sample_json(link.rtt_ms)},
                               {"loss_permille", sample_json(link.loss_permille)},
                               {"kbps", sample_json(link.kbps)},
                               {"failed_permille", sample_json(link.failed_permille)},
                               {"failures", sample_json(link.failures)}});
  }
  for (const auto& [key, link] : measurements.told_.entries()) {
    told.push_back(json::object{{"a", id(key >> 32)},
                                {"b", id(key & 0xffffffffu)},
                                {"at", time_json(link.at)},
                                {"state", state_name(link.state)},
                                {"rtt_ms", link.rtt_ms},
                                {"loss_permille", link.loss_permille},
                                {"kbps", link.kbps}});
  }
  for (const auto& [node, load] : measurements.loads_.entries()) {
    loads.push_back(json::object{{"node", id(node)}, {"load", sample_json(load)}});
  }
  return json::object{{"latest", time_json(measurements.latest_)},
                      {"own", std::move(own)},
                      {"told", std::move(told)},
                      {"loads", std::move(loads)}};
}

Result<Measurements> MeasurementsText::read(const json::object& object,
                                            const Directory& directory) {
  Measurements out;
  JsonReader reader(object, "measurements: ");
  out.latest_ = read_time(reader, "latest");
  const auto number = [](JsonReader& r, std::string_view key) {
    const json::value* value = r.find(key);
    return value == nullptr ? 0 : read_float(r, key, *value);
  };
  const auto read_own = [&](JsonReader& r) {
    OwnLink link;
    const NodeIndex peer = read_node(r, "peer", directory);
    link.state = static_cast<LinkState>(r.one_of("state", kStates, 3));
    link.state_since = read_time(r, "state_since");
    link.rtt_ms = read_sample(r, "rtt_ms");
    link.loss_permille = read_sample(r, "loss_permille");
    link.kbps = read_sample(r, "kbps");
    link.failed_permille = read_sample(r, "failed_permille");
    link.failures = read_sample(r, "failures");
    if (r.ok()) out.own_.at(peer) = link;
  };
  const auto read_told = [&](JsonReader& r) {
    Told link;
    const NodeIndex a = read_node(r, "a", directory);
    const NodeIndex b = read_node(r, "b", directory);
    link.at = read_time(r, "at");
    link.state = static_cast<LinkState>(r.one_of("state", kStates, 3));
    link.rtt_ms = number(r, "rtt_ms");
    link.loss_permille = number(r, "loss_permille");
    link.kbps = number(r, "kbps");
    if (r.ok()) out.told_.at(pair_key(a, b)) = link;
  };
  const auto read_load = [&](JsonReader& r) {
    const NodeIndex node = read_node(r, "node", directory);
    const Sample load = read_sample(r, "load");
    if (r.ok()) out.loads_.at(node) = load;
  };
  for (const Status& status :
       {each(reader, "own", kNodesMax, read_own), each(reader, "told", kToldMax, read_told),
        each(reader, "loads", kNodesMax, read_load), reader.done()}) {
    if (!status) return fail(status.error());
  }
  return out;
}

}  // namespace rap::routing
