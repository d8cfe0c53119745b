// The node of the mesh inside the process: a fabric::MeshNode and what ties it to the adapters.
// Lives on the IoThread; every function is called there.
//
//   host's loop ── IoThread::post ──► Mesh ──► MeshNode
//               ◄─ Upward, Board ────
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/net/blocking_pool.hpp"
#include "base/net/task_group.hpp"
#include "fabric/node/mesh_node.hpp"
#include "plugins/mesh/board.hpp"
#include "plugins/mesh/given.hpp"
#include "plugins/mesh/io_thread.hpp"

namespace rap::mesh {

// Whom the mesh tells; called on its thread.
class Upward {
 public:
  virtual ~Upward() = default;
  // A stream of a person whose session lease holds. `answer` is called once, on any thread, or
  // destroyed when nobody is there to answer.
  virtual void deliver(Fd stream, std::string claims_json, std::function<void(Status)> answer) = 0;
  // docs/contracts/mesh-control.md
  virtual void report(const std::string& json) = 0;
  // Whether all is well is another than before.
  virtual void health_changed() = 0;
};

struct MeshSetup {
  Access access;
  std::vector<std::string> endpoints;  // of the configuration
  std::filesystem::path caches;
};

// Texts with keys: the mesh wipes them when it has read them.
struct GivenIdentity {
  net::TlsIdentity identity;
  GivenIdentity() = default;
  GivenIdentity(GivenIdentity&&) = default;
  ~GivenIdentity();
};
using GivenIdentityPtr = std::shared_ptr<GivenIdentity>;  // of one closure on its way

class Mesh {
 public:
  // `thread`, `up` and `board` outlive it.
  Mesh(IoThread& thread, MeshSetup setup, Upward& up, Board& board);

  // What is wrong is told on the board, and what was before goes on. Null: withdrawn.
  void set_lease_keys(const std::vector<fabric::LeaseKey>& keys);
  void set_directory(std::string json);
  void set_identity(const GivenIdentityPtr& given);
  void set_entry(const GivenIdentityPtr& given);
  // One service for each organization: another one takes the place of the last.
  void set_service(const std::string& organization, const std::string& service,
                   const GivenIdentityPtr& given);

  void start_relay();
  void accept(Fd connection);
  // One of the two is empty.
  void drop(const std::string& session, const std::string& organization);
  // synthetic.echo of another node. `done` gets a connected socket, here.
  void open(std::string target, routing::ChannelClass channel_class, net::milliseconds timeout,
            std::function<void(Result<Fd>)> done);

  // Roles end: nobody new comes, what is open goes on.
  void drain(net::milliseconds grace);
  void drain_entry();
  void drain_relay();
  void end_entry();
  void end_relay();
  // All of it, now. Nothing else is called afterwards.
  net::Task<void> end();

 private:
  net::Task<void> hand_up(std::unique_ptr<fabric::IncomingSession> incoming);
  net::Task<void> take_directory(std::string json);
  net::Task<void> open_own(std::string target, routing::ChannelClass channel_class,
                           net::milliseconds timeout, std::function<void(Result<Fd>)> done);
  net::Task<Result<Fd>> socket_to(std::string target, routing::ChannelClass channel_class);
  net::Task<void> keep_looking();
  void start_when_ready();
  void look();
  void measure_load();
  void report(const fabric::MeshNodeFacts& facts);
  // Notes what became of something, under a name; an empty text is good.
  void note(const std::string& what, const Status& done);

  IoThread& thread_;
  const MeshSetup setup_;
  Upward& up_;
  Board& board_;
  fabric::MeshNode node_;
  std::map<std::string, std::string> services_;  // by organization
  std::map<std::string, std::string> troubles_;  // by what it is about
  bool identity_ = false, entry_ = false, started_ = false;
  Picture last_;
  std::uint64_t ended_bytes_ = 0;
  const std::string boot_id_;
  std::int64_t seq_ = 0;
  std::string gist_;  // of the last report
  std::chrono::steady_clock::time_point reported_{};
  struct Load {
    std::chrono::nanoseconds cpu{0};
    std::chrono::steady_clock::time_point at{};
    double permille = 0;
  } load_;
  net::TaskGroup leaving_, tasks_;
  net::BlockingPool pool_{1};  // reads directories, in order
};

}  // namespace rap::mesh
