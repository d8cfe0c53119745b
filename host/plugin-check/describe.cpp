#include <boost/json.hpp>

#include "base/json.hpp"
#include "host/loader/plugin_loader.hpp"
#include "host/plugin-check/process_state.hpp"
#include "host/plugin-check/subject.hpp"

namespace rap::check {
namespace {

namespace json = boost::json;

json::array to_array(const std::vector<std::string>& list) {
  return json::array(list.begin(), list.end());
}

json::object to_object(const loader::AdapterFacts& a) {
  return {{"id", a.id},
          {"roles", to_array(a.roles)},
          {"needs", to_array(a.needs)},
          {"wants", to_array(a.wants)},
          {"provides", to_array(a.provides)},
          {"profile", a.profile},
          {"share", a.share},
          {"fork_safe", a.fork_safe},
          {"name", a.name},
          {"vendor", a.vendor},
          {"version", a.version},
          {"config_schema", a.config_schema}};
}

std::vector<std::string> texts(const json::value& value) {
  return json::value_to<std::vector<std::string>>(value);
}

loader::AdapterFacts from_object(const json::object& o) {
  loader::AdapterFacts a;
  a.id = json::value_to<std::string>(o.at("id"));
  a.roles = texts(o.at("roles"));
  a.needs = texts(o.at("needs"));
  a.wants = texts(o.at("wants"));
  a.provides = texts(o.at("provides"));
  a.profile = json::value_to<std::string>(o.at("profile"));
  a.share = json::value_to<std::uint32_t>(o.at("share"));
  a.fork_safe = o.at("fork_safe").as_bool();
  a.name = json::value_to<std::string>(o.at("name"));
  a.vendor = json::value_to<std::string>(o.at("vendor"));
  a.version = json::value_to<std::string>(o.at("version"));
  a.config_schema = json::value_to<std::string>(o.at("config_schema"));
  return a;
}

// In the box.
std::string load_and_tell(int fd) {
  const auto start = std::chrono::steady_clock::now();
  auto plugin = loader::load_plugin(Fd(fd));
  const auto scan = std::chrono::steady_clock::now() - start;
  if (!plugin) return json::serialize(json::object{{"error", plugin.error().text()}});
  json::array adapters;
  for (const auto& adapter : plugin->adapters) adapters.push_back(to_object(adapter));
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(scan).count();
  return json::serialize(json::object{{"adapters", std::move(adapters)},
                                      {"abi_minor", plugin->abi_minor},
                                      {"scan_ms", ms},
                                      {"threads", ProcessState::threads()}});
}

}  // namespace

Result<Described> describe(const Subject& subject) {
  const int fd = subject.file.fd.get();
  const Finished done = run_boxed(fd, subject.limit, [fd](Box&) { return load_and_tell(fd); });
  if (done.how != Finished::How::answered) return fail(Errc::invalid, done.trouble());
  auto value = parse_json(done.answer);
  if (!value) return fail(Errc::internal, done.answer);  // the sandbox's own words
  const json::object& object = value->as_object();
  if (const json::value* error = object.if_contains("error")) {
    return fail(Errc::invalid, json::value_to<std::string>(*error));
  }
  Described out;
  for (const json::value& adapter : object.at("adapters").as_array()) {
    out.adapters.push_back(from_object(adapter.as_object()));
  }
  out.abi_minor = json::value_to<std::uint16_t>(object.at("abi_minor"));
  out.scan = std::chrono::milliseconds(json::value_to<std::int64_t>(object.at("scan_ms")));
  out.threads = json::value_to<int>(object.at("threads"));
  return out;
}

}  // namespace rap::check
