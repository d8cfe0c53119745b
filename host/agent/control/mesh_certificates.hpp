// Keeps the certificates of the mesh process current: makes keys for what is wanted, asks the
// control plane, renews at half life, and says what there is.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "base/net/event.hpp"
#include "base/net/task.hpp"
#include "host/agent/control/control_client.hpp"
#include "host/agent/run/context.hpp"
#include "host/agent/state/mesh_keys.hpp"

namespace rap::agent {

class MeshCertificates {
 public:
  struct Node {
    std::string cluster_id, node_id, cluster_ca_pem;
  };
  struct Hooks {
    std::function<Node()> node;
    std::function<void(MeshHandPtr)> changed;
  };
  // Both outlive it.
  MeshCertificates(Context& context, ControlClient& control, Hooks hooks);

  // What the node's roles need. Before the first call nothing is made, asked for or forgotten.
  void want(std::set<MeshUse> uses);
  // Until cancelled.
  net::Task<void> run();

 private:
  // False: not all was given.
  net::Task<Result<bool>> ask(std::vector<MeshUse> uses);
  void save();
  void tell();

  Context& context_;
  ControlClient& control_;
  Hooks hooks_;
  MeshKeys keys_;
  std::optional<std::set<MeshUse>> wanted_;
  net::Event wake_;
};

}  // namespace rap::agent
