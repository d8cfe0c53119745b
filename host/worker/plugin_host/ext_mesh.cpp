// rap.host.mesh/1: streams that the mesh verified go to the agent, and what it knows of its links.
#include <sys/socket.h>

#include <boost/json.hpp>

#include "base/text.hpp"
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr auto kDeliverTimeout = 10s;        // rap/ext/mesh.h
constexpr std::size_t kDeliveriesMax = 256;  // rap/ext/mesh.h
constexpr std::size_t kClaimsMax = 16u << 10;
constexpr std::size_t kFromMax = 64;  // a numeric address
// rap/ext/mesh.h: what one message to the agent holds.
constexpr std::size_t kReportMax = 60'000;

bool is_stream(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

std::optional<json::object> object_of(rap_str text, std::size_t limit) {
  auto value = parse_json(view(text), {.bytes_max = limit, .depth_max = 8});
  if (!value || !value->is_object()) return std::nullopt;
  return std::move(value->get_object());
}

void tell(PluginHost& host, rap_mesh_taken_fn done, void* user,
          const Result<ipc::Message>& answer) {
  const rap_result result = answer ? RAP_OK : to_result(answer.error().code);
  const std::string code(answer ? "" : name(answer.error().code));
  const std::string detail = answer ? "" : answer.error().detail;
  host.run_plugin_task("mesh delivery", [&] {
    done(user, result, {code.data(), code.size()}, {detail.data(), detail.size()});
  });
}

rap_result deliver(const rap_host* raw, int fd, const rap_mesh_stream* given,
                   rap_mesh_taken_fn done, void* user) {
  PluginHost& host = PluginHost::of(raw);
  if (!host.on_loop_or_blame("rap.host.mesh/1 deliver()")) return RAP_E_STATE;
  if (given == nullptr || done == nullptr || !is_stream(fd)) return RAP_E_INVALID;
  rap_mesh_stream stream;
  rap_take(&stream, sizeof stream, given, given->size);
  auto claims = object_of(stream.claims_json, kClaimsMax);
  if (!claims || stream.from.len > kFromMax) return RAP_E_INVALID;
  if (!host.begin_delivery(kDeliveriesMax)) return RAP_E_BUSY;
  json::object body = {
      {"op", "stream"}, {"claims", *std::move(claims)}, {"from", as_utf8(view(stream.from))}};
  std::vector<Fd> fds;
  fds.emplace_back(fd);  // M4
  host.ask(std::move(body), std::move(fds), kDeliverTimeout,
           [&host, done, user](Result<ipc::Message> answer) {
             host.end_delivery();
             tell(host, done, user, answer);
           });
  return RAP_PENDING;
}

rap_result report(const rap_host* raw, rap_str text) {
  auto document = object_of(text, kReportMax);
  if (!document) return RAP_E_INVALID;
  PluginHost::of(raw).mesh_report(*std::move(document));
  return RAP_OK;
}

rap_result on_drop(const rap_host* raw, rap_mesh_drop_fn run, void* user) {
  PluginHost& host = PluginHost::of(raw);
  if (!host.on_loop_or_blame("rap.host.mesh/1 on_drop()")) return RAP_E_STATE;
  host.watch_drops(run, user);
  return RAP_OK;
}

}  // namespace

const rap_host_mesh_1 kMeshTable = {deliver, report, on_drop};

// The last of those that come before the loop gets to it.
void PluginHost::mesh_report(json::object document) {
  {
    const std::lock_guard lock(mutex_);
    const bool due = report_ != nullptr;
    report_ = std::make_unique<json::object>(std::move(document));
    if (due) return;
  }
  post([this] {
    std::unique_ptr<json::object> now;
    {
      const std::lock_guard lock(mutex_);
      now = std::move(report_);
    }
    const json::object note = {{"op", "mesh_report"}, {"report", *std::move(now)}};
    agent_.note(note);
  });
}

void PluginHost::mesh_drop(const std::string& session, const std::string& organization) {
  post([this, session, organization] {
    const auto [run, user] = drops_;
    if (run == nullptr) return;
    rap_mesh_drop what{};
    what.size = sizeof what;
    what.session_id = {session.data(), session.size()};
    what.organization = {organization.data(), organization.size()};
    run_plugin_task("drop callback", [&, run = run, user = user] { run(user, &what); });
  });
}

}  // namespace rap::worker
