#include "host/agent/config/config.hpp"

#include <cstdlib>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "host/agent/config/schema.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

struct TextKey {
  std::string_view section;  // "" at top level
  std::string_view key;
  std::string_view variable;
};

constexpr TextKey kTextKeys[] = {
    {"", "server", "RAP_SERVER"},
    {"", "state_dir", "RAP_STATE_DIR"},
    {"", "run_dir", "RAP_RUN_DIR"},
    {"", "node_name", "RAP_NODE_NAME"},
    {"", "release_root", "RAP_RELEASE_ROOT"},
    {"", "worker_path", "RAP_WORKER_PATH"},
    {"", "listener_path", "RAP_LISTENER_PATH"},
    {"", "log_level", "RAP_LOG_LEVEL"},
    {"mesh", "listen", "RAP_MESH_LISTEN"},
    {"mesh", "advertise", "RAP_MESH_ADVERTISE"},
};

void apply_environment(json::object& document, const Environment& environment) {
  for (const TextKey& entry : kTextKeys) {
    const auto value = environment(entry.variable);
    if (!value || value->empty()) continue;
    if (entry.section.empty()) {
      document[entry.key] = *value;
    } else {
      json::value& section = document[entry.section];
      if (!section.is_object()) section = json::object{};
      section.get_object()[entry.key] = *value;
    }
  }
}

Error describe(const std::vector<ConfigProblem>& problems) {
  std::string text = "configuration:";
  for (const ConfigProblem& problem : problems) {
    text += " " + problem.pointer + ": " + problem.detail + ";";
  }
  text.pop_back();
  return Error{Errc::invalid, text};
}

}  // namespace

Environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

fs::path program_directory() {
  std::error_code ec;
  const fs::path self = fs::read_symlink("/proc/self/exe", ec);
  return ec ? fs::path("/usr/bin") : self.parent_path();
}

std::vector<ConfigProblem> check_config_together(const json::value& document) {
  const json::object* top = document.if_object();
  const json::value* value = top != nullptr ? top->if_contains("heartbeat") : nullptr;
  const json::object* heartbeat = value != nullptr ? value->if_object() : nullptr;
  if (heartbeat == nullptr) return {};
  const Config defaults;
  const auto number = [&](std::string_view key, std::chrono::milliseconds fallback) {
    return json_int_or_none(*heartbeat, key).value_or(fallback.count());
  };
  if (number("min_interval_ms", defaults.heartbeat_min) <=
      number("max_interval_ms", defaults.heartbeat_max)) {
    return {};
  }
  return {{"/heartbeat/min_interval_ms", "must not be above max_interval_ms"}};
}

Result<Config> config_from_document(const json::value& checked, const Environment& environment,
                                    const fs::path& binary_directory) {
  json::value document = checked;
  apply_environment(document.as_object(), environment);
  // A variable is input too: it obeys the same schema.
  if (auto problems = check_config(document); !problems.empty()) return fail(describe(problems));
  if (auto problems = check_config_together(document); !problems.empty()) {
    return fail(describe(problems));
  }

  const json::object& top = document.get_object();
  const json::object empty;
  const auto section = [&](std::string_view name) -> const json::object& {
    const json::value* value = top.if_contains(name);
    return value != nullptr && value->is_object() ? value->get_object() : empty;
  };
  const auto text = [](const json::object& from, std::string_view key, std::string fallback) {
    return json_string_or_none(from, key).value_or(std::move(fallback));
  };
  const auto number = [](const json::object& from, std::string_view key, std::int64_t fallback) {
    return json_int_or_none(from, key).value_or(fallback);
  };

  Config out;
  out.server = text(top, "server", "");
  out.state_dir = text(top, "state_dir", out.state_dir.string());
  out.run_dir = text(top, "run_dir", out.run_dir.string());
  out.node_name = text(top, "node_name", "");
  out.release_root = text(top, "release_root", out.release_root.string());
  out.worker_path = text(top, "worker_path", (binary_directory / "rap-worker").string());
  out.listener_path = text(top, "listener_path", (binary_directory / "rap-mesh-listener").string());
  out.log_level = log::level_from_name(text(top, "log_level", "info"));
  out.mesh_listen = text(section("mesh"), "listen", out.mesh_listen);
  out.mesh_advertise = text(section("mesh"), "advertise", "");

  if (const json::value* services = top.if_contains("services")) {
    for (const json::value& item : services->as_array()) {
      const json::object& entry = item.as_object();
      out.services.push_back(
          {text(entry, "role", ""), text(entry, "service", ""), text(entry, "listen", "")});
    }
  }

  const json::object& heartbeat = section("heartbeat");
  out.heartbeat_min =
      std::chrono::milliseconds(number(heartbeat, "min_interval_ms", out.heartbeat_min.count()));
  out.heartbeat_max =
      std::chrono::milliseconds(number(heartbeat, "max_interval_ms", out.heartbeat_max.count()));
  const json::object& limits = section("limits");
  out.sessions_max = static_cast<int>(number(limits, "sessions_max", out.sessions_max));
  out.restarts_max = static_cast<int>(number(limits, "restarts_max", out.restarts_max));
  out.restart_window =
      std::chrono::seconds(number(limits, "restart_window_s", out.restart_window.count()));
  out.outbox_events_max =
      static_cast<int>(number(limits, "outbox_events_max", out.outbox_events_max));
  return out;
}

Result<Config> load_config(const ConfigSource& source, const Environment& environment) {
  auto document = read_config_document(source);
  if (!document) return fail(std::move(document.error()));
  return config_from_document(*document, environment, program_directory());
}

}  // namespace rap::agent
