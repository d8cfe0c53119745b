// A small cluster of MeshWorkers: its authority gives them certificates, its director tells each of
// the others; a client that goes in by the entry.
#pragma once

#include <filesystem>

#include "tests/integration/mesh/mesh_worker.hpp"
#include "tests/support/mesh_world.hpp"

namespace rap::test {

class MeshCluster {
 public:
  MeshCluster();
  ~MeshCluster();

  // Nodes 1, 2, .. in order; a node with `service` is the last.
  MeshWorker& add(std::vector<std::string> roles);
  // The same node, as after a restart.
  MeshWorker& restart(unsigned number);
  MeshWorker& at(unsigned number) { return *workers_.at(number - 1).worker; }
  // Everything the control plane and the agent tell, to all of them. Only relays can be dialled.
  void tell_all();
  void tell(unsigned number);
  std::string directory_for(unsigned number);
  std::string access_for(unsigned number);
  // They have linked: each node that is no relay with each relay.
  bool linked();

  fabric::MeshSessionOptions session();
  net::ByteStreamPtr open();
  // Goes over the stream and comes back the same.
  bool echoes(net::ByteStream& stream, std::size_t bytes);
  std::filesystem::path state_of(unsigned number) { return workers_.at(number - 1).state; }
  // -1: it is not there.
  double metric(unsigned number, const std::string& name);
  // The relay that carries something.
  unsigned relay_in_use();
  // 30 s of patience, while the client's side goes on.
  template <typename Condition>
  bool wait_for(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      world.io.restart();
      world.io.run_for(std::chrono::milliseconds(50));
    }
    return true;
  }

  MeshWorld world;

 private:
  struct Member {
    std::vector<std::string> roles;
    net::TlsIdentity identity, entry;
    std::string address;  // where it was first
    std::string state;
    std::unique_ptr<MeshWorker> worker;
  };
  std::unique_ptr<MeshWorker> make(unsigned number, const Member& member);

  std::filesystem::path folder_;
  std::int64_t version_ = 1;
  net::TlsIdentity service_;
  std::vector<Member> workers_;
};

}  // namespace rap::test
