// The role core-mesh: this node is in the mesh, its services can be reached.
#pragma once

#include <map>
#include <memory>

#include <rap/mesh.hpp>

#include "base/net/dialler.hpp"
#include "plugins/mesh/loop_queue.hpp"
#include "plugins/mesh/metrics.hpp"
#include "plugins/mesh/shared.hpp"

namespace rap::mesh {

class CoreAdapter final : public MeshAdapter, private Upward {
 public:
  static constexpr Info info{
      .id = "rap.mesh.core",
      .name = "Mesh",
      .vendor = "RAP",
      .version = "0.1.0",
      .roles = {"core-mesh"},
      .needs = {RAP_HOST_LOOP, RAP_HOST_IDENTITY, RAP_HOST_MESH, RAP_HOST_SNAPSHOT},
      .wants = {RAP_HOST_LOG, RAP_HOST_CONFIG, RAP_HOST_METRICS, RAP_HOST_STATE_DIR,
                RAP_HOST_HEALTH},
      .provides = {RAP_ADAPTER_ACCEPT, RAP_ADAPTER_MESH},
      .profile = "net.client",
      .config_schema = kConfigSchema,
      .share = RAP_SHARE_WORKLOAD};

  explicit CoreAdapter(Host the_host);
  ~CoreAdapter() override;
  static void warm_up();

  void start() override;
  void drain(std::uint64_t deadline_ms) override;
  void stop() override;
  void health(rap_health& out) override;
  void accept(int fd, const rap_incoming& from) override;
  void dial(const rap_mesh_dial& want, MeshAnswer answer) override;
  void open_mesh(const rap_mesh_open& want, MeshAnswer answer) override;

 private:
  // A stream that the node is asked to take. Its address is the `user` of the host's answer.
  struct Delivery {
    CoreAdapter* self;
    std::function<void(Status)> answer;
    void taken(rap_result result, std::string_view code, std::string_view detail);
    void callback_failed(rap_result, const char*) {}
  };
  struct Dials;  // on the mesh's thread

  void on_access(std::string_view name, std::string_view json);
  void on_directory(std::string_view name, std::string_view json);
  void on_identity(const rap_identity& given);
  void on_drop(std::string_view session, std::string_view organization);
  void make_mesh(const Access& access);
  // Upward, on the mesh's thread
  void deliver(Fd stream, std::string claims, std::function<void(Status)> answer) override;
  void report(const std::string& json) override;
  void health_changed() override;
  void deliver_now(const std::shared_ptr<Fd>& stream, const std::string& claims,
                   std::function<void(Status)> answer);
  // What `answer` shall get, from the mesh's thread.
  std::function<void(Result<Fd>)> answering(MeshAnswer answer);

  const rap_host_mesh_1& mesh_;
  LoopQueue queue_;
  Metrics metrics_;
  std::shared_ptr<Shared> shared_;  // while started
  std::unique_ptr<Dials> dials_;
  std::optional<Access> access_;  // the last good one
  std::string trouble_;           // of it
  bool draining_ = false;
  std::vector<std::string> endpoints_;
  std::map<Delivery*, std::unique_ptr<Delivery>> deliveries_;
};

}  // namespace rap::mesh
