#include "host/agent/state/instance_record.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/transient_file.hpp"
#include "host/agent/node/facts.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

// 64 people with names of 256 characters, each of them escaped.
constexpr std::size_t kRecordBytesMax = 256 * 1024;
constexpr std::string_view kKindNames[] = {"zygote", "session", "listener"};

struct Member {
  std::string_view name;
  std::string InstanceRecord::*value;
};
constexpr Member kMembers[] = {
    {"name", &InstanceRecord::name},
    {"nonce", &InstanceRecord::nonce},
    {"boot_id", &InstanceRecord::boot_id},
    {"digest", &InstanceRecord::digest},
    {"organization", &InstanceRecord::organization},
    {"session", &InstanceRecord::session},
    {"resource", &InstanceRecord::resource},
    {"zygote", &InstanceRecord::zygote},
    {"product", &InstanceRecord::product},
    {"version", &InstanceRecord::version},
    {"adapter", &InstanceRecord::adapter},
};

// The name becomes part of paths.
bool is_instance_name(std::string_view text) {
  return !text.empty() && text.size() <= 40 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace

std::string_view name(InstanceKind kind) {
  return kKindNames[static_cast<std::size_t>(kind)];
}

Result<InstanceRecord> parse_instance_record(std::string_view text) {
  auto value = parse_json(text, {.bytes_max = kRecordBytesMax, .depth_max = 4});
  if (!value) return fail(std::move(value.error()));
  if (!value->is_object()) return fail(Errc::malformed, "want an object");
  const json::object& object = value->get_object();
  InstanceRecord out;
  for (const Member& member : kMembers) {
    auto entry = json_string(object, member.name);
    if (!entry) return fail(Errc::malformed, entry.error().detail);
    out.*member.value = std::move(*entry);
  }
  // Records of the previous release have none.
  out.assignment = json_string_or_none(object, "assignment").value_or("");
  out.opened_unix_s = json_int_or_none(object, "opened_unix_s").value_or(0);
  if (auto people = json_array(object, "people")) {
    for (const json::value& item : **people) {
      if (!item.is_object()) return fail(Errc::malformed, "people");
      const json::object& entry = item.get_object();
      const auto present = json_bool(entry, "present");
      add_person(out.people,
                 {json_string_or_none(entry, "attach_id").value_or(""),
                  json_string_or_none(entry, "user_id").value_or(""),
                  json_string_or_none(entry, "user_name").value_or(""),
                  json_string_or_none(entry, "mode").value_or(""), present && *present});
    }
  }
  if (auto joined = json_object(object, "joined")) {
    for (const auto& entry : **joined) {
      if (!entry.value().is_string()) return fail(Errc::malformed, "joined");
      out.joined[std::string(entry.key())] = std::string(entry.value().get_string());
    }
  }
  if (!is_instance_name(out.name)) return fail(Errc::malformed, "name");
  if (out.nonce.size() != 32) return fail(Errc::malformed, "nonce");
  auto kind = json_string(object, "kind");
  if (!kind) return fail(Errc::malformed, "kind");
  const auto found = std::find(std::begin(kKindNames), std::end(kKindNames), *kind);
  if (found == std::end(kKindNames)) return fail(Errc::malformed, "kind " + *kind);
  out.kind = static_cast<InstanceKind>(found - std::begin(kKindNames));
  auto pid = json_int(object, "pid");
  auto start = json_int(object, "start_time");
  if (!pid || *pid < 0 || *pid > (1 << 22)) return fail(Errc::malformed, "pid");
  if (!start || *start < 0) return fail(Errc::malformed, "start_time");
  out.pid = static_cast<int>(*pid);
  out.start_time = static_cast<std::uint64_t>(*start);
  return out;
}

std::string serialize(const InstanceRecord& record) {
  json::object out{{"format", 1},
                   {"kind", name(record.kind)},
                   {"pid", record.pid},
                   {"start_time", static_cast<std::int64_t>(record.start_time)}};
  for (const Member& member : kMembers) out[member.name] = record.*member.value;
  out["assignment"] = record.assignment;
  out["opened_unix_s"] = record.opened_unix_s;
  json::array people;
  for (const AttachedPerson& person : record.people) {
    people.push_back(json::object{{"attach_id", person.attach_id},
                                  {"user_id", person.user_id},
                                  {"user_name", person.user_name},
                                  {"mode", person.mode},
                                  {"present", person.present}});
  }
  out["people"] = std::move(people);
  json::object joined;
  for (const auto& [adapter, configuration] : record.joined) joined[adapter] = configuration;
  out["joined"] = std::move(joined);
  return json::serialize(out) + "\n";
}

Status InstanceRecords::write(const InstanceRecord& record) const {
  // The processes it tells of do not outlive the machine, and an attach waits for this.
  return write_transient_file(directory_ / (record.name + ".json"), serialize(record), 0600);
}

void InstanceRecords::remove(const std::string& instance) const {
  std::error_code ec;
  fs::remove(directory_ / (instance + ".json"), ec);
}

std::vector<InstanceRecord> InstanceRecords::read_all(std::vector<std::string>& damaged) const {
  std::vector<InstanceRecord> out;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(directory_, ec)) {
    const fs::path& path = entry.path();
    if (path.extension() != ".json" || path.filename().string().starts_with(".")) continue;
    auto text = read_text_file(path, kRecordBytesMax);
    auto record =
        text ? parse_instance_record(*text) : Result<InstanceRecord>(fail(std::move(text.error())));
    if (record && record->name + ".json" == path.filename()) {
      out.push_back(std::move(*record));
      continue;
    }
    damaged.push_back(path.filename().string());
    fs::rename(path, fs::path(path).replace_extension(".damaged"), ec);
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

bool is_running(const InstanceRecord& record, const std::string& boot_id) {
  if (record.pid == 0 || record.boot_id != boot_id) return false;
  const auto start = process_start_time(record.pid);
  return start && *start == record.start_time;
}

Result<std::int64_t> next_fence(const fs::path& path) {
  std::int64_t last = 0;
  auto text = read_text_file(path, 64);
  if (text) {
    auto value = parse_json(*text);
    // A damaged fence: any number that is surely higher than every earlier one.
    last = value && value->is_int64() ? value->get_int64() : to_unix_seconds(RealClock().now());
  } else if (text.error().code != Errc::not_found) {
    return fail(std::move(text.error()));
  }
  const std::int64_t next = last + 1;
  if (Status written = write_file_atomic(path, std::to_string(next) + "\n", 0600); !written) {
    return fail(std::move(written.error()));
  }
  return next;
}

}  // namespace rap::agent
