#include "fabric/routing/policy_json.hpp"

#include <boost/json.hpp>

#include "base/id.hpp"
#include "base/json.hpp"
#include "fabric/routing/directory_doc.hpp"
#include "fabric/routing/json_reader.hpp"

namespace rap::routing {

namespace {

namespace json = boost::json;

constexpr std::int64_t kWeightMax = 60'000;      // 600 ms for one unit: more only hides the others
constexpr std::int64_t kMsMax = 24 * 3'600'000;  // a measurement of yesterday says nothing
constexpr std::int64_t kActiveMax = 64;          // three times the seed's largest set
constexpr std::int64_t kCandidatesMax = 200;     // warm, cold
constexpr std::int64_t kAttachedLeavesMax = 4'096;
constexpr std::int64_t kGraceMax = 30 * 86'400;

// One number of a struct: its name in JSON, where it lies, its range.
template <typename Struct, typename Number>
struct Field {
  std::string_view key;
  Number Struct::*member;
  std::int64_t least;
  std::int64_t most;
};

constexpr Field<Weights, std::uint16_t> kWeights[] = {
    {"latency", &Weights::latency, 0, kWeightMax},
    {"loss", &Weights::loss, 0, kWeightMax},
    {"reliability", &Weights::reliability, 0, kWeightMax},
    {"failures", &Weights::failures, 0, kWeightMax},
    {"setup", &Weights::setup, 0, kWeightMax},
    {"region", &Weights::region, 0, kWeightMax},
    {"bandwidth", &Weights::bandwidth, 0, kWeightMax},
    {"load", &Weights::load, 0, kWeightMax},
    {"role", &Weights::role, 0, kWeightMax},
    {"trust", &Weights::trust, 0, kWeightMax},
    {"hop", &Weights::hop, 0, kWeightMax},
    {"avoid", &Weights::avoid, 0, kWeightMax},
};
constexpr Field<UnknownPrices, std::uint16_t> kUnknown[] = {
    {"latency", &UnknownPrices::latency, 0, 10'000},
    {"loss", &UnknownPrices::loss, 0, 1'000},
    {"reliability", &UnknownPrices::reliability, 0, 1'000},
    {"bandwidth", &UnknownPrices::bandwidth, 0, 1'000},
    {"load", &UnknownPrices::load, 0, 20},
};
constexpr Field<Decay, std::uint32_t> kDecay[] = {
    {"own_fresh_ms", &Decay::own_fresh_ms, 0, kMsMax},
    {"own_stale_ms", &Decay::own_stale_ms, 1, kMsMax},
    {"told_fresh_ms", &Decay::told_fresh_ms, 0, kMsMax},
    {"told_stale_ms", &Decay::told_stale_ms, 1, kMsMax},
    {"failure_ms", &Decay::failure_ms, 1, kMsMax},
    {"down_ms", &Decay::down_ms, 0, kMsMax},
};
constexpr Field<Hysteresis, std::uint16_t> kMargins[] = {
    {"margin_permille", &Hysteresis::margin_permille, 0, 1'000},
    {"margin_cost", &Hysteresis::margin_cost, 0, 10'000},
    {"shortcut_permille", &Hysteresis::shortcut_permille, 0, 1'000},
};
constexpr Field<Hysteresis, std::uint32_t> kHolds[] = {
    {"hold_ms", &Hysteresis::hold_ms, 0, kMsMax},
    {"shortcut_up_ms", &Hysteresis::shortcut_up_ms, 0, kMsMax},
};
constexpr Field<PeerSizes, std::uint8_t> kSizes[] = {
    {"low", &PeerSizes::low, 1, kActiveMax},       {"rest", &PeerSizes::rest, 1, kActiveMax},
    {"high", &PeerSizes::high, 1, kActiveMax},     {"relays", &PeerSizes::relays, 0, kActiveMax},
    {"warm", &PeerSizes::warm, 0, kCandidatesMax}, {"cold", &PeerSizes::cold, 1, kCandidatesMax},
};
constexpr Field<PeerSizes, std::uint16_t> kAttached[] = {
    {"attached_max", &PeerSizes::attached_max, 0, kAttachedLeavesMax},
};

template <typename Struct, typename Number, std::size_t N>
void read_fields(JsonReader& reader, Struct& out, const Field<Struct, Number> (&fields)[N]) {
  for (const auto& field : fields) {
    reader.number_if(field.key, out.*field.member, field.least, field.most);
  }
}

template <typename Struct, typename Number, std::size_t N>
void write_fields(json::object& out, const Struct& in, const Field<Struct, Number> (&fields)[N]) {
  for (const auto& field : fields) out[json::string_view(field.key)] = in.*field.member;
}

// Reads a part of the policy that is one object; absent: the defaults stay.
template <typename Read>
void part(JsonReader& parent, std::string_view key, Read read) {
  if (!parent.has(key)) return;
  const json::object* object = parent.object(key);
  if (object == nullptr) return;
  JsonReader reader(*object, parent.where() + std::string(key) + ".");
  read(reader);
  const Status status = reader.done();
  if (!status) parent.wrong(status.error());
}

void read_sizes(JsonReader& parent, std::string_view key, PeerSizes& out) {
  part(parent, key, [&](JsonReader& reader) {
    read_fields(reader, out, kSizes);
    read_fields(reader, out, kAttached);
    if (out.low > out.rest || out.rest > out.high) {
      reader.wrong(Errc::invalid, "rest", "want low <= rest <= high");
    }
    if (out.relays > out.rest) reader.wrong(Errc::invalid, "relays", "more than rest");
  });
}

void read_decay(JsonReader& parent, Decay& out) {
  part(parent, "decay", [&](JsonReader& reader) {
    read_fields(reader, out, kDecay);
    if (out.own_fresh_ms >= out.own_stale_ms || out.told_fresh_ms >= out.told_stale_ms) {
      reader.wrong(Errc::invalid, "own_stale_ms", "want fresh before stale");
    }
  });
}

template <typename Item, typename Read>
void items(JsonReader& parent, std::string_view key, std::size_t most, std::vector<Item>& out,
           Read read) {
  if (!parent.has(key)) return;
  const json::array* array = parent.array(key, most);
  if (array == nullptr) return;
  for (const json::value& value : *array) {
    const std::string where =
        parent.where() + std::string(key) + "[" + std::to_string(out.size()) + "].";
    if (!value.is_object()) return parent.wrong(Errc::invalid, key, "want objects");
    JsonReader reader(value.get_object(), where);
    out.push_back(read(reader));
    const Status status = reader.done();
    if (!status) return parent.wrong(status.error());
  }
}

RegionDistance read_distance(JsonReader& reader) {
  RegionDistance out;
  out.a = reader.text("a", kNameCharsMax);
  out.b = reader.text("b", kNameCharsMax);
  out.distance = static_cast<std::uint16_t>(reader.number("distance", 0, 10'000));
  return out;
}

Trust read_trust(JsonReader& reader, std::string_view key) {
  constexpr std::string_view kNames[kTrusts] = {"quarantined", "low", "normal", "high"};
  return static_cast<Trust>(reader.one_of(key, kNames, kTrusts));
}

Conduct read_conduct(JsonReader& reader, std::string_view key) {
  constexpr std::string_view kNames[kConducts] = {"go-on", "existing-only", "stop"};
  return static_cast<Conduct>(reader.one_of(key, kNames, kConducts));
}

OrganizationRule read_rule(JsonReader& reader) {
  OrganizationRule out;
  out.organization_id = reader.text("organization_id", kNameCharsMax);
  if (reader.ok() && !OrganizationId::parse(out.organization_id)) {
    reader.wrong(Errc::invalid, "organization_id", "not an id");
  }
  if (reader.has("regions")) out.regions = reader.texts("regions", kRegionsMax, kNameCharsMax);
  if (reader.has("trust_min")) out.trust_min = read_trust(reader, "trust_min");
  reader.number_if("relays_max", out.relays_max, 0, kRelaysMax);
  reader.flag_if("own_relays_only", out.own_relays_only);
  reader.number_if("streams_max", out.streams_max, 0, kOrganizationStreamsMax);
  reader.number_if("kbytes_per_s", out.kbytes_per_s, 0, kOrganizationKbytesMax);
  return out;
}

json::object sizes_json(const PeerSizes& sizes) {
  json::object out;
  write_fields(out, sizes, kSizes);
  write_fields(out, sizes, kAttached);
  return out;
}

template <typename Struct, typename Number, std::size_t N>
json::object fields_json(const Struct& in, const Field<Struct, Number> (&fields)[N]) {
  json::object out;
  write_fields(out, in, fields);
  return out;
}

}  // namespace

Result<Policy> read_policy(const json::object& object) {
  Policy out;
  JsonReader reader(object, "policy.");
  part(reader, "interactive", [&](JsonReader& r) { read_fields(r, out.interactive, kWeights); });
  part(reader, "bulk", [&](JsonReader& r) { read_fields(r, out.bulk, kWeights); });
  part(reader, "unknown", [&](JsonReader& r) { read_fields(r, out.unknown, kUnknown); });
  read_decay(reader, out.decay);
  part(reader, "hysteresis", [&](JsonReader& r) {
    read_fields(r, out.hysteresis, kMargins);
    read_fields(r, out.hysteresis, kHolds);
  });
  part(reader, "peers", [&](JsonReader& r) {
    read_sizes(r, "normal", out.normal);
    read_sizes(r, "relay", out.relay);
    read_sizes(r, "thin", out.thin);
  });
  reader.number_if("relays_max", out.relays_max, 0, kRelaysMax);
  if (reader.has("relay_trust_min")) out.relay_trust_min = read_trust(reader, "relay_trust_min");
  reader.number_if("region_distance", out.region_distance, 0, 10'000);
  items(reader, "region_distances", kRegionsMax * (kRegionsMax - 1) / 2, out.region_distances,
        read_distance);
  if (reader.has("when_stale")) out.when_stale = read_conduct(reader, "when_stale");
  if (reader.has("when_isolated")) out.when_isolated = read_conduct(reader, "when_isolated");
  reader.number_if("stale_grace_s", out.stale_grace_s, 0, kGraceMax);
  items(reader, "organizations", kOrganizationsMax, out.organizations, read_rule);
  const Status status = reader.done();
  if (!status) return fail(status.error());
  return out;
}

json::object write_policy(const Policy& policy) {
  json::object out;
  out["interactive"] = fields_json(policy.interactive, kWeights);
  out["bulk"] = fields_json(policy.bulk, kWeights);
  out["unknown"] = fields_json(policy.unknown, kUnknown);
  out["decay"] = fields_json(policy.decay, kDecay);
  json::object hysteresis = fields_json(policy.hysteresis, kMargins);
  write_fields(hysteresis, policy.hysteresis, kHolds);
  out["hysteresis"] = std::move(hysteresis);
  out["peers"] = json::object{{"normal", sizes_json(policy.normal)},
                              {"relay", sizes_json(policy.relay)},
                              {"thin", sizes_json(policy.thin)}};
  out["relays_max"] = policy.relays_max;
  out["relay_trust_min"] = json::string_view(name(policy.relay_trust_min));
  out["region_distance"] = policy.region_distance;
  json::array distances;
  for (const RegionDistance& d : policy.region_distances) {
    distances.push_back(json::object{{"a", d.a}, {"b", d.b}, {"distance", d.distance}});
  }
  out["region_distances"] = std::move(distances);
  out["when_stale"] = json::string_view(name(policy.when_stale));
  out["when_isolated"] = json::string_view(name(policy.when_isolated));
  out["stale_grace_s"] = policy.stale_grace_s;
  json::array rules;
  for (const OrganizationRule& rule : policy.organizations) {
    rules.push_back(json::object{{"organization_id", rule.organization_id},
                                 {"regions", json::array(rule.regions.begin(), rule.regions.end())},
                                 {"trust_min", json::string_view(name(rule.trust_min))},
                                 {"relays_max", rule.relays_max},
                                 {"own_relays_only", rule.own_relays_only},
                                 {"streams_max", rule.streams_max},
                                 {"kbytes_per_s", rule.kbytes_per_s}});
  }
  out["organizations"] = std::move(rules);
  return out;
}

Result<Policy> parse_policy(std::string_view text) {
  auto value = parse_json(text, {.bytes_max = kDirectoryBytesMax, .depth_max = 8});
  if (!value) return fail(value.error(), "policy");
  if (!value->is_object()) return fail(Errc::malformed, "policy: want an object");
  return read_policy(value->get_object());
}

std::string to_json(const Policy& policy) {
  return json::serialize(write_policy(policy));
}

}  // namespace rap::routing
