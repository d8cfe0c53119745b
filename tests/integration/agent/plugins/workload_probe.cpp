// A workload that uses what the agent has for one, and says in its health how that went. It keeps
// a counter of its starts in the state directory.
//   {"target":"res_..","crash":true}: opens a stream to the target and reads one line from it
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include <rap/rap.hpp>

namespace {

struct WorkloadProbe : rap::Adapter {
  static constexpr rap::Info info{
      .id = "test.workload-probe",
      .version = "1.0.0",
      .roles = {"probe-service"},
      .needs = {RAP_HOST_LOOP, RAP_HOST_CONFIG, RAP_HOST_STREAM, RAP_HOST_SNAPSHOT},
      .wants = {RAP_HOST_STATE_DIR, RAP_HOST_HEALTH},
      .provides = {},
      .config_schema = R"({"type":"object","additionalProperties":false,"properties":{
          "target":{"type":"string"},"crash":{"type":"boolean"}}})",
      .share = RAP_SHARE_WORKLOAD};
  using Adapter::Adapter;

  void start() override {
    const auto& config = host.need<rap_host_config_1>();
    std::uint32_t crash = 0;
    if (config.get_bool(host.raw, "/crash", &crash) == RAP_OK && crash != 0) {
      std::puts("last words of a workload");
      std::fflush(stdout);
      rap::check(host.need<rap_host_loop_1>().post(
                     host.raw, rap::task<WorkloadProbe, &WorkloadProbe::die>, this),
                 "post");
    }
    rap::check(host.need<rap_host_snapshot_1>().watch(
                   host.raw, "resources",
                   rap::snapshot<WorkloadProbe, &WorkloadProbe::on_resources>, this),
               "watch");
    count_start();
    rap_stream_want want{};
    want.size = sizeof want;
    want.kind = RAP_STREAM_BYTES;
    std::uint64_t ticket = 0;
    if (config.get_text(host.raw, "/target", &want.target) != RAP_OK) return;
    rap::check(
        host.need<rap_host_stream_1>().open(
            host.raw, &want, rap::stream<WorkloadProbe, &WorkloadProbe::on_stream>, this, &ticket),
        "stream");
  }
  void die() { std::abort(); }

  void on_resources(std::string_view, std::string_view json) {
    resources = "with " + std::to_string(json.size()) + " bytes";
    if (json.find("\"resources\":[{") == std::string_view::npos) resources = "none";
    std::printf("resources %s\n", resources.c_str());
    std::fflush(stdout);
    if (json.find("\"host\"") != std::string_view::npos) resources = "with addresses";
    tell();
  }
  void on_stream(rap_result result, int fd) {
    stream = result == RAP_OK ? "open" : "failed " + std::to_string(result);
    if (fd >= 0) close(fd);
    tell();
  }
  void count_start() {
    const auto* state = host.find<rap_host_state_dir_1>();
    int directory = -1;
    std::uint64_t quota = 0;
    if (state == nullptr || state->fd(host.raw, &directory, &quota) != RAP_OK) return;
    starts = 0;
    const int old = openat(directory, "starts", O_RDONLY | O_CLOEXEC);
    char text[16] = {};
    if (old >= 0 && read(old, text, sizeof text - 1) > 0) starts = std::atoi(text);
    if (old >= 0) close(old);
    const int fresh =
        openat(directory, "starts.new", O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    const std::string now = std::to_string(++starts);
    if (fresh < 0 || write(fresh, now.data(), now.size()) < 0)
      throw rap::Failure(RAP_E_INTERNAL, "state");
    close(fresh);
    if (renameat(directory, "starts.new", directory, "starts") != 0) {
      throw rap::Failure(RAP_E_INTERNAL, "state: rename");
    }
  }
  void health(rap_health& out) override {
    out.level = RAP_HEALTH_DEGRADED;
    std::snprintf(out.note, sizeof out.note, "resources %s; stream %s; starts %d",
                  resources.c_str(), stream.c_str(), starts);
  }
  void tell() {
    rap_health now{};
    now.size = sizeof now;
    health(now);
    if (const auto* table = host.find<rap_host_health_1>()) table->report(host.raw, &now);
  }

  std::string resources = "unknown", stream = "none";
  int starts = -1;
};

}  // namespace

RAP_PLUGIN(WorkloadProbe)
