// What a session of `rapctl` over the mesh needs around it: a small mesh (fabric's entry, relays
// and service), a control plane that answers as the real one does, and a hub of session frames.
#pragma once

#include <filesystem>
#include <functional>

#include "base/net/http_server.hpp"
#include "contracts/frames/reader.hpp"
#include "tests/support/mesh_world.hpp"

namespace rap::test {

// Entry 1, relay 2 and, behind NAT, the service on 3.
class MeshPlane {
 public:
  MeshPlane();
  ~MeshPlane();

  MeshWorld world;
  const std::string session = numbered("ses_", 1);
  std::string config_dir;  // RAP_CONFIG_DIR of somebody who is logged in

  // What the control plane says.
  std::vector<std::string> entries;             // of the mesh; that of node 1
  std::chrono::seconds carry_until{12 * 3600};  // of the first carry lease, from now
  bool first_carry_works = true;                // else it names another client
  std::string fate = R"({"state":"active"})";   // GET of the session

  // What it was asked for.
  int opened = 0, attached = 0, renewed = 0, traced = 0;
  std::string view_or_control;

  // The hub: what it does with a session whose lease holds; empty, it serves frames.
  std::optional<Error> refuses;
  int hellos = 0, detached = 0, repaints = 0;
  std::string typed;  // by everybody

  // Where trace leads: verb trace, this target.
  boost::json::object trace_access(const std::string& to, const Sha256Digest& certificate);

  // Runs everything for a while.
  void run(net::milliseconds time);
  template <typename Condition>
  bool until(Condition condition) {
    for (int i = 0; i < 1'500 && !condition(); ++i) run(net::milliseconds(20));
    return condition();
  }

 private:
  net::Task<net::HttpResponse> answer(const net::HttpRequest& request);
  boost::json::object access(const Sha256Digest& certificate, fabric::LeaseVerb verb);
  std::string carry(const Sha256Digest& certificate, std::chrono::seconds life);
  net::Task<void> serve(std::unique_ptr<fabric::IncomingSession> incoming);
  net::Task<void> talk(net::ByteStream& stream);

  struct Shell {
    std::string line;
    std::uint64_t control_seq = 0, terminal_seq = 0;
    bool over = false;
  };
  Bytes reply(const frames::FrameView& frame, Shell& shell);

  std::unique_ptr<net::HttpServer> control_plane_;
};

}  // namespace rap::test
