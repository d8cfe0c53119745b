// One node of a mesh: a real rap-worker with mesh.so in the real sandbox, and a thread that plays
// its agent.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>

#include <boost/json.hpp>

#include "base/net/x509.hpp"
#include "tests/integration/worker/worker_harness.hpp"

namespace rap::test {

class MeshWorker {
 public:
  // `core`, and what else of "relay" and "entry"; keeps its caches in `state_directory`.
  MeshWorker(std::string node_id, std::vector<std::string> roles,
             const std::string& state_directory);
  ~MeshWorker();

  const std::string& node_id() const { return node_id_; }
  bool has(const std::string& role) const;
  // Of its port, which it has from the beginning.
  const std::string& address() const { return address_; }

  Fd connect() const;

  // What the agent asks of the worker.
  Result<ipc::Message> call(const boost::json::object& body, const Fd& fd = Fd());
  void snapshot(const char* name, const std::string& text);
  void identity(boost::json::object body, const net::TlsIdentity& identity);
  Status add(const std::string& role);
  Status remove(const std::string& role, int drain_ms);
  boost::json::object status();
  // Of one adapter: {"level","note","sessions","streams"}; empty when it is not there.
  boost::json::object health(const std::string& role);

  // What the worker asks of the agent. Streams are answered with an echo, or with this.
  void refuse_streams(const Error& error);
  std::vector<boost::json::object> delivered();  // claims
  boost::json::object last_report();
  std::vector<std::string> ended();  // adapters

  void kill();
  TestWorker& worker() { return worker_; }

 private:
  void play_agent();
  void take_stream(ipc::Message message);

  const std::string node_id_;
  const std::vector<std::string> roles_;
  TestWorker worker_;
  std::string address_;
  std::mutex agent_lock_;  // of the worker's connection
  std::mutex lock_;        // of what follows
  std::optional<Error> refusal_;
  std::vector<boost::json::object> delivered_;
  boost::json::object report_;
  std::vector<std::string> ended_;
  std::vector<std::thread> echoes_;
  std::atomic<bool> stop_{false};
  std::thread agent_;
};

// An adapter's id.
std::string mesh_adapter(const std::string& role);

}  // namespace rap::test
