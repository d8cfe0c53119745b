// One node of a small mesh for tests and benches: real TCP, TLS and HTTP/2, the product's entry,
// relay and service end; neighbours are dialled for each stream.
#pragma once

#include <functional>
#include <map>
#include <set>

#include <boost/asio/io_context.hpp>

#include "base/net/tcp.hpp"
#include "base/net/tls.hpp"
#include "fabric/ends/mesh_server.hpp"
#include "fabric/ends/service_end.hpp"
#include "fabric/resume/clock.hpp"

namespace rap::test {

// What a node's sockets and stream buffers carried, and what is done to its sockets.
struct MeshTap {
  bool keep = false;
  Bytes sockets;  // ciphertext between two nodes
  Bytes streams;  // what a relay has in its buffers
  // One-way partition: what the node sends is accepted and never arrives.
  bool lose_sent = false;
  std::set<net::ByteStream*> open;
};

struct MeshNodeSetup {
  std::string node_id;
  std::string cluster_ca_pem;
  net::TlsIdentity mesh;   // of ../node/<node>/mesh
  net::TlsIdentity entry;  // of ../entry; empty key: no entry
  net::HostPort mesh_address{"127.0.0.1", 0};
  net::HostPort entry_address{"127.0.0.1", 0};
  fabric::LeaseKey lease_key;
  fabric::SessionHandler sessions;  // empty: no services end here
  const Clock* clock = nullptr;
  fabric::ServiceEndLimits services;
  resume::ResumeLimits resume;
};

class MeshNode final : public fabric::MeshHost {
 public:
  MeshNode(boost::asio::io_context& io, MeshNodeSetup setup);
  ~MeshNode() override;

  // Listens; addresses are fixed from then on.
  void start();
  // As kill -9 looks from outside: sockets and listeners are gone, nobody was told.
  void kill();

  const std::string& id() const { return setup_.node_id; }
  std::string mesh_address() const { return setup_.mesh_address.text(); }
  std::string entry_address() const { return setup_.entry_address.text(); }
  // `addresses` by node: also of those that nobody can dial, as if they had dialled.
  void set_directory(routing::Directory directory, std::map<std::string, std::string> addresses);
  fabric::MeshServer& server() { return server_; }
  fabric::ServiceEnd& service_end() { return *services_; }
  // Shared with the node's sockets, which may outlive it.
  const std::shared_ptr<MeshTap> tap = std::make_shared<MeshTap>();

  fabric::RouteView routes() override;
  const fabric::CarryVerifier& carry_verifier() override { return verifier_; }
  routing::Moment now() override;
  routing::RouteCache* route_cache() override { return &cache_; }
  fabric::ServiceEnd* services() override { return services_.get(); }
  bool relays() override { return true; }
  net::Task<fabric::ConnectAnswer> open(std::string node, fabric::ConnectRequest request,
                                        routing::ChannelClass channel_class) override;
  net::Task<void> splice(std::unique_ptr<fabric::H2Stream> from,
                         std::unique_ptr<fabric::H2Stream> to, fabric::Passing as) override;

 private:
  enum class Port { mesh, entry };
  net::Task<void> accept_loop(std::shared_ptr<net::Listener> listener, Port port);
  net::Task<void> serve(net::ByteStreamPtr socket, Port port);

  boost::asio::io_context& io_;
  MeshNodeSetup setup_;
  resume::RealResumeClock resume_clock_;
  fabric::CarryVerifier verifier_;
  routing::RouteCache cache_;
  std::shared_ptr<const routing::Directory> directory_;
  std::map<std::string, std::string> addresses_;
  routing::Measurements measurements_;
  fabric::MeshServer server_;
  std::unique_ptr<fabric::ServiceEnd> services_;
  std::shared_ptr<net::Listener> mesh_listener_;
  std::shared_ptr<net::Listener> entry_listener_;
  std::unique_ptr<net::TaskGroup> tasks_;
};

// Both ways until both have ended, or one is lost.
net::Task<void> splice_streams(net::ByteStreamPtr a, net::ByteStreamPtr b,
                               std::shared_ptr<MeshTap> tap);

}  // namespace rap::test
