// Two adapters of one library that use everything the host has for the mesh. What happened is
// written to whoever connects to the service "say".
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include <rap/mesh.hpp>

namespace {

// Accepts "say" and "hold"; a held connection lasts until its peer closes it.
struct Common : rap::MeshAdapter {
  using MeshAdapter::MeshAdapter;

  void accept(int fd, const rap_incoming& from) override {
    if (rap::view(from.service) == "say") {
      (void)!write(fd, log_.data(), log_.size());
      close(fd);
      return;
    }
    const auto& loop = host.need<rap_host_loop_1>();
    rap::check(loop.watch(host.raw, fd, RAP_IO_READ, rap::io<Common, &Common::readable>, this),
               "watch");
    held_.push_back(fd);
  }
  void readable(int fd, std::uint32_t) {
    char bytes[64];
    if (recv(fd, bytes, sizeof bytes, 0) > 0) return;
    host.need<rap_host_loop_1>().unwatch(host.raw, fd);
    close(fd);
    std::erase(held_, fd);
  }
  void drain(std::uint64_t) override { log_ += "drain\n"; }
  void stop() override {
    // Left over on purpose: a task, a timer and a watch that the host has to end.
    if (stopped_) return;
    stopped_ = true;
    const auto& loop = host.need<rap_host_loop_1>();
    std::uint64_t id = 0;
    loop.post(host.raw, rap::task<Common, &Common::after_the_end>, this);
    loop.timer(host.raw, 1, 1, rap::task<Common, &Common::after_the_end>, this, &id);
  }
  void after_the_end() { abort(); }
  ~Common() override {
    for (const int fd : held_) close(fd);
  }
  void health(rap_health& out) override { out.streams = static_cast<std::uint32_t>(held_.size()); }

  std::string log_;
  std::vector<int> held_;
  bool stopped_ = false;
};

struct MeshProbe : Common {
  static constexpr rap::Info info{
      .id = "test.mesh",
      .version = "1.0.0",
      .roles = {"core-mesh"},
      .needs = {RAP_HOST_LOOP, RAP_HOST_IDENTITY, RAP_HOST_MESH, RAP_HOST_SNAPSHOT},
      .provides = {RAP_ADAPTER_ACCEPT, RAP_ADAPTER_MESH},
      .profile = "net.client",
      .share = RAP_SHARE_WORKLOAD};
  using Common::Common;

  void start() override {
    const auto& identities = host.need<rap_host_identity_1>();
    for (std::uint32_t kind : {RAP_IDENTITY_MESH, RAP_IDENTITY_SERVICE}) {
      rap::check(
          identities.watch(host.raw, kind, rap::identity<MeshProbe, &MeshProbe::on_identity>, this),
          "identity");
    }
    const auto& snapshots = host.need<rap_host_snapshot_1>();
    rap::check(
        snapshots.watch(host.raw, "mesh", rap::snapshot<MeshProbe, &MeshProbe::on_directory>, this),
        "snapshot");
    rap::check(
        snapshots.watch(host.raw, "access", rap::snapshot<MeshProbe, &MeshProbe::on_access>, this),
        "snapshot");
    rap::check(host.need<rap_host_mesh_1>().on_drop(
                   host.raw, rap::mesh_drop<MeshProbe, &MeshProbe::on_drop>, this),
               "on_drop");
  }
  void on_identity(const rap_identity& given) {
    log_ += "identity " + std::to_string(given.kind) + " " +
            std::string(rap::view(given.organization)) + " " +
            std::string(rap::view(given.service)) + " [" + std::string(rap::view(given.chain_pem)) +
            "][" + std::string(rap::view(given.key_pem)) + "]\n";
  }
  void on_directory(std::string_view, std::string_view json) {
    log_ += "mesh " + std::string(json) + "\n";
    const auto& mesh = host.need<rap_host_mesh_1>();
    mesh.report(host.raw, rap::borrow(R"({"seq":1})"));
    rap::check(mesh.report(host.raw, rap::borrow(R"({"seq":2,"links":[]})")), "report");
    log_ += "array " + std::to_string(mesh.report(host.raw, rap::borrow("[]"))) + "\n";
    const std::string large = "{\"x\":\"" + std::string(60'000, 'x') + "\"}";
    log_ += "large " + std::to_string(mesh.report(host.raw, rap::borrow(large))) + "\n";
  }
  void on_access(std::string_view, std::string_view json) {
    log_ += "access " + std::string(json) + "\n";
  }
  void on_drop(std::string_view session, std::string_view organization) {
    log_ += "drop " + std::string(session) + "/" + std::string(organization) + "\n";
  }

  // A stream for the service "deliver" is one that the mesh verified; for "claims" its first line
  // says with what.
  void accept(int fd, const rap_incoming& from) override {
    if (rap::view(from.service) == "claims") {
      rap::check(host.need<rap_host_loop_1>().watch(
                     host.raw, fd, RAP_IO_READ, rap::io<MeshProbe, &MeshProbe::on_claims>, this),
                 "watch");
      return;
    }
    if (rap::view(from.service) != "deliver") return Common::accept(fd, from);
    const auto done = rap::mesh_taken<MeshProbe, &MeshProbe::on_taken>;
    rap_mesh_stream bad{};
    bad.size = sizeof bad;
    bad.claims_json = rap::borrow("[1]");
    const auto& mesh = host.need<rap_host_mesh_1>();
    log_ += "bad claims " + std::to_string(mesh.deliver(host.raw, fd, &bad, done, this)) + "\n";
    deliver(fd, R"({"sid":"ses_1","org":"org_1"})");
  }
  void on_claims(int fd, std::uint32_t) {
    host.need<rap_host_loop_1>().unwatch(host.raw, fd);
    std::string line;
    char c = 0;
    while (recv(fd, &c, 1, 0) == 1 && c != '\n') line += c;
    deliver(fd, line);
  }
  void deliver(int fd, const std::string& claims) {
    rap_mesh_stream stream{};
    stream.size = sizeof stream;
    stream.claims_json = rap::borrow(claims);
    stream.from = rap::borrow("192.0.2.7");
    rap::check(host.need<rap_host_mesh_1>().deliver(
                   host.raw, fd, &stream, rap::mesh_taken<MeshProbe, &MeshProbe::on_taken>, this),
               "deliver");
  }
  void on_taken(rap_result result, std::string_view code, std::string_view detail) {
    log_ += "taken " + std::to_string(result) + " " + std::string(code) + " " +
            std::string(detail) + "\n";
  }

  void dial(const rap_mesh_dial& want, rap::MeshAnswer answer) override {
    if (rap::view(want.organization) == "org_full") throw rap::Failure(RAP_E_BUSY, "full");
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(want.port));
    inet_pton(AF_INET, std::string(rap::view(want.host)).c_str(), &to.sin_addr);
    const bool there = connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    if (!there) close(fd);
    later(answer, there ? fd : -1);
  }
  void open_mesh(const rap_mesh_open& want, rap::MeshAnswer answer) override {
    if (rap::view(want.target) == "never") return;  // until the adapter ends
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      throw rap::Failure(RAP_E_RESOURCE, "socketpair");
    }
    const std::string hello = std::string(rap::view(want.target)) + " " +
                              std::to_string(want.channel_class) + " " +
                              std::string(rap::view(want.organization));
    (void)!write(ends[0], hello.data(), hello.size());
    close(ends[0]);
    later(answer, ends[1]);
  }
  void later(rap::MeshAnswer answer, int fd) {
    answers_.push_back({answer, fd});
    host.need<rap_host_loop_1>().post(host.raw, rap::task<MeshProbe, &MeshProbe::send_answers>,
                                      this);
  }
  void send_answers() {
    for (const auto& [answer, fd] : std::exchange(answers_, {})) {
      if (fd >= 0) {
        answer.done(fd);
      } else {
        answer.failed(RAP_E_UNREACHABLE, "nobody there");
      }
    }
  }
  std::vector<std::pair<rap::MeshAnswer, int>> answers_;
};

struct OtherProbe : Common {
  static constexpr rap::Info info{
      .id = "test.mesh-other",
      .version = "1.0.0",
      .roles = {"relay-node"},
      .needs = {RAP_HOST_LOOP},
      .wants = {RAP_HOST_IDENTITY, RAP_HOST_SNAPSHOT},
      .provides = {RAP_ADAPTER_ACCEPT},
      .profile = "net.client",
      .config_schema = R"({"type":"object","additionalProperties":false,"properties":{
          "text":{"type":"string"}}})",
      .share = RAP_SHARE_WORKLOAD};
  using Common::Common;
  void dial(const rap_mesh_dial&, rap::MeshAnswer) override {}
  void open_mesh(const rap_mesh_open&, rap::MeshAnswer) override {}
  void start() override {
    log_ = "other\n";
    if (const auto* snapshots = host.find<rap_host_snapshot_1>()) {
      snapshots->watch(host.raw, "mesh", rap::snapshot<OtherProbe, &OtherProbe::on_directory>,
                       this);
    }
  }
  void on_directory(std::string_view, std::string_view json) { log_ += std::string(json) + "\n"; }
};

}  // namespace

RAP_PLUGIN(MeshProbe, OtherProbe)
