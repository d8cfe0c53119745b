// Commands that ask the running agent, or look at its files.
#include <cstdio>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "host/agent/commands/commands.hpp"
#include "host/agent/config/schema.hpp"
#include "host/agent/control/enroll.hpp"
#include "host/agent/node/capabilities.hpp"
#include "host/agent/node/facts.hpp"
#include "host/agent/ops/unix_listener.hpp"
#include "host/agent/state/instance_record.hpp"
#include "host/agent/state/layout.hpp"
#include "host/agent/version.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kAskLimit{5'000};

std::string text_of(const json::object& object, std::string_view key) {
  return json_string_or_none(object, key).value_or("");
}

void print_line(const std::string& what, const std::string& state, const std::string& detail) {
  std::printf("  %-34s %-10s %s\n", what.c_str(), state.c_str(), detail.c_str());
}

void print_status(const json::object& status) {
  std::printf("agent      %s (%s)\n", text_of(status, "state").c_str(),
              text_of(status, "version").c_str());
  if (const std::string detail = text_of(status, "detail"); !detail.empty()) {
    std::printf("           %s\n", detail.c_str());
  }
  std::printf("node       %s in %s\n", text_of(status, "node_id").c_str(),
              text_of(status, "cluster_id").c_str());
  std::printf("control    %s\n", text_of(status, "server").c_str());
  if (const std::string ends = text_of(status, "certificate_expires"); !ends.empty()) {
    const bool ended = !text_of(status, "certificate_trouble").empty();
    std::printf("cert       %s %s\n", ended ? "ended" : "good until", ends.c_str());
  }
  if (auto snapshot = json_object(status, "snapshot")) {
    const std::string stale = text_of(**snapshot, "stale");
    const std::string expires = text_of(**snapshot, "director_expires");
    std::string line = expires.empty() ? "none yet" : "good until " + expires;
    if (!stale.empty()) line = stale;
    std::printf("snapshot   %s\n", line.c_str());
    for (const char* key : {"trouble", "release_trouble"}) {
      const std::string why = text_of(**snapshot, key);
      if (!why.empty()) std::printf("           not refreshed: %s\n", why.c_str());
    }
  }
  if (auto listener = json_object(status, "listener")) {
    std::printf("listener   %s %s %s\n", text_of(**listener, "state").c_str(),
                text_of(**listener, "endpoint").c_str(), text_of(**listener, "detail").c_str());
  }
  if (auto list = json_array(status, "workloads"); list && !(*list)->empty()) {
    std::printf("workloads\n");
    for (const json::value& item : **list) {
      const json::object& entry = item.as_object();
      // An agent of an earlier version does not say for whom.
      const std::string organization = text_of(entry, "organization");
      print_line(text_of(entry, "role") + " " + text_of(entry, "version"), text_of(entry, "state"),
                 (organization.empty() ? "" : organization + " ") + text_of(entry, "detail"));
    }
  }
  if (auto list = json_array(status, "sessions"); list && !(*list)->empty()) {
    std::printf("sessions\n");
    for (const json::value& item : **list) {
      const json::object& entry = item.as_object();
      print_line(text_of(entry, "session_id"), text_of(entry, "state"),
                 text_of(entry, "controller"));
    }
  }
}

Result<OpsAnswer> ask(const Config& config, std::string_view target) {
  return ops_request(RunLayout{config.run_dir}.ops_socket(), "GET", target, kAskLimit);
}

// Names, sizes and modes; contents stay where they are.
json::array list_files(const fs::path& root) {
  json::array out;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(root, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code ignored;
    json::object entry{{"path", it->path().lexically_relative(root).string()}};
    if (it->is_regular_file(ignored)) entry["bytes"] = it->file_size(ignored);
    entry["mode"] = static_cast<int>(it->symlink_status(ignored).permissions());
    out.push_back(std::move(entry));
    if (out.size() >= 10'000) break;
  }
  return out;
}

}  // namespace

int status_command(const Config& config, Check check, Output output) {
  if (check != Check::none) {
    const char* target = check == Check::live    ? "/livez"
                         : check == Check::ready ? "/readyz"
                                                 : "/startupz";
    auto answer = ask(config, target);
    if (!answer) return report_failure(answer.error(), output);
    std::printf("%s", answer->body.c_str());
    return answer->status == 200 ? 0 : 1;
  }
  auto answer = ask(config, "/v1/status");
  if (!answer) {
    // What the files tell may be the reason, or the next thing to do.
    Error error = answer.error();
    const SystemTime now = RealClock().now();
    if (auto identity = read_identity(StateLayout{config.state_dir}.identity())) {
      if (const auto ended = certificate_ended(*identity, now)) {
        error.detail += "; " + how_to_renew(*ended, now);
      }
    }
    return report_failure(error, output);
  }
  if (output == Output::json) {
    std::printf("%s", answer->body.c_str());
    return 0;
  }
  auto status = parse_json(answer->body, {.bytes_max = 16u << 20, .depth_max = 16});
  if (!status || !status->is_object()) {
    return report_failure({Errc::malformed, "answer of the agent"}, output);
  }
  print_status(status->get_object());
  return 0;
}

namespace {

// What an agent that was killed left running, by its records; the next agent would take it over.
std::string left_running(const Config& config) {
  std::vector<std::string> damaged;
  std::string out;
  const std::string boot = read_facts().boot_id;
  for (const InstanceRecord& record :
       InstanceRecords(RunLayout{config.run_dir}.instances()).read_all(damaged)) {
    if (!is_running(record, boot)) continue;
    out += "\n  " + std::string(name(record.kind)) + " " + record.name + ", pid " +
           std::to_string(record.pid);
    if (!record.session.empty()) out += ", session " + record.session;
  }
  return out;
}

}  // namespace

int stop_command(const Config& config) {
  auto answer =
      ops_request(RunLayout{config.run_dir}.ops_socket(), "POST", "/stop", std::chrono::minutes(6));
  if (!answer && answer.error().code == Errc::not_found) {
    // Without an agent nobody tells the control plane how the sessions ended, so that it is the
    // agent that ends them.
    Error error = answer.error();
    if (const std::string left = left_running(config); !left.empty()) {
      error.detail += "; what it started still runs:" + left +
                      "\nstart the agent (rap-node-agent run, or systemctl start rap-node-agent), "
                      "which takes these over, and run rap-node-agent stop --all again";
    }
    return report_failure(error, Output::text);
  }
  if (!answer) return report_failure(answer.error(), Output::text);
  std::printf("%s", answer->body.c_str());
  return answer->status == 200 ? 0 : 1;
}

int diagnostics_command(const Config& config, const fs::path& directory, Output output) {
  std::error_code ec;
  fs::create_directories(directory, ec);
  if (ec)
    return report_failure({Errc::forbidden, directory.string() + ": " + ec.message()}, output);
  const auto put = [&](const char* file, const std::string& text) {
    return write_file_atomic(directory / file, text, 0600);
  };
  // A running agent is asked; without one the bundle says so.
  const auto asked = [&](std::string_view target) {
    auto answer = ask(config, target);
    return answer ? answer->body : answer.error().text() + "\n";
  };
  const HostAbilities abilities =
      probe_host({config.worker_path, config.listener_path, system_library_directories()});
  json::array capabilities;
  for (const Capability& entry : abilities.capabilities) {
    capabilities.push_back(json::object{{"name", entry.name}, {"detail", entry.detail}});
  }
  json::array layers;
  for (const Capability& entry : abilities.sandbox_layers) {
    layers.push_back(json::object{{"name", entry.name}, {"detail", entry.detail}});
  }
  const json::object host{{"facts", to_json(read_facts())},
                          {"agent_version", kAgentVersion},
                          {"capabilities", std::move(capabilities)},
                          {"sandbox_layers", std::move(layers)}};
  const json::object settings{{"server", config.server},
                              {"state_dir", config.state_dir.string()},
                              {"run_dir", config.run_dir.string()},
                              {"mesh_listen", config.mesh_listen},
                              {"mesh_advertise", config.mesh_advertise},
                              {"release_root", config.release_root.string()},
                              {"worker_path", config.worker_path.string()},
                              {"listener_path", config.listener_path.string()}};
  const json::object files{{"state", list_files(config.state_dir)},
                           {"run", list_files(config.run_dir)}};
  for (const Status& written :
       {put("status.json", asked("/v1/status")), put("metrics.txt", asked("/metrics")),
        put("readyz.txt", asked("/readyz")), put("host.json", json::serialize(host) + "\n"),
        put("settings.json", json::serialize(settings) + "\n"),
        put("files.json", json::serialize(files) + "\n")}) {
    if (!written) return report_failure(written.error(), output);
  }
  if (output == Output::json) {
    std::printf("%s\n", json::serialize(json::object{{"directory", directory.string()}}).c_str());
  } else {
    std::printf("written to %s; it holds no keys and no secrets\n", directory.c_str());
  }
  return 0;
}

namespace {

// Empty file: of all of them together, or of the environment.
struct FileProblem {
  std::string file;
  ConfigProblem problem;

  std::string text() const {
    std::string out = file.empty() ? "" : file + ": ";
    if (!problem.pointer.empty()) out += problem.pointer + ": ";
    return out + problem.detail;
  }
};

// Everything that is wrong with each file, and then with what they say together.
std::vector<FileProblem> problems_of(const ConfigSource& source,
                                     const std::vector<fs::path>& files) {
  std::vector<FileProblem> out;
  for (const fs::path& file : files) {
    auto document = read_config_file(file);
    if (!document) {
      out.push_back({"", {"", document.error().detail}});  // names the file
      continue;
    }
    for (ConfigProblem& problem : check_config(*document)) {
      out.push_back({file.string(), std::move(problem)});
    }
  }
  auto together = read_config_document(source);
  if (!together) return out;  // said already
  for (ConfigProblem& problem : check_config_together(*together)) {
    out.push_back({files.size() == 1 ? files[0].string() : "", std::move(problem)});
  }
  if (!out.empty()) return out;
  auto config = config_from_document(*together, process_environment(), program_directory());
  if (!config) out.push_back({"", {"", config.error().detail}});
  return out;
}

// What `run` would ask for first, though nothing is wrong with the files; or nothing.
std::string missing_to_run(const ConfigSource& source) {
  auto config = load_config(source, process_environment());
  if (!config) return {};
  const fs::path path = StateLayout{config->state_dir}.identity();
  auto identity = read_identity(path);
  if (identity || identity.error().code != Errc::not_found) return {};
  return "run needs more: this host is not enrolled (" + path.string() +
         " does not exist); rap-node-agent enroll" +
         (config->server.empty() ? " --server URL" : "") + " --token-file FILE";
}

}  // namespace

int config_validate_command(const ConfigSource& source, Output output) {
  std::vector<FileProblem> problems;
  auto files = config_files(source);
  if (!files) {
    problems.push_back({"", {"", files.error().detail}});
    files = std::vector<fs::path>{};
  } else if (files->empty()) {
    // `run` goes on with its defaults; "valid" would be about nothing.
    problems.push_back(
        {"", {"", source.file.string() + ": there is no such file; name the one to check"}});
  } else {
    problems = problems_of(source, *files);
  }
  const std::string missing = problems.empty() ? missing_to_run(source) : "";
  if (output == Output::json) {
    json::array list;
    for (const FileProblem& entry : problems) {
      list.push_back(json::object{{"file", entry.file},
                                  {"pointer", entry.problem.pointer},
                                  {"detail", entry.problem.detail}});
    }
    json::array read;
    for (const fs::path& file : *files) read.push_back(json::string(file.string()));
    json::object answer{
        {"valid", problems.empty()}, {"files", std::move(read)}, {"problems", std::move(list)}};
    if (!missing.empty()) answer["missing_to_run"] = missing;
    std::printf("%s\n", json::serialize(answer).c_str());
  } else {
    for (const FileProblem& entry : problems) {
      std::fprintf(stderr, "%s\n", entry.text().c_str());
    }
    for (const fs::path& file : *files) {
      if (problems.empty()) std::printf("valid: %s\n", file.c_str());
    }
    if (!missing.empty()) std::fprintf(stderr, "%s\n", missing.c_str());
  }
  return problems.empty() ? 0 : 1;
}

}  // namespace rap::agent
