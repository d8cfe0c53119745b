// A whole small mesh in one process: a cluster's authority and lease key, nodes, one organization
// with one service, one client.
#pragma once

#include "fabric/ends/session_client.hpp"
#include "tests/support/mesh_node.hpp"
#include "tests/support/mesh_rig.hpp"
#include "tests/support/test_ca.hpp"

namespace rap::test {

// The real time, moved.
class MovedClock final : public Clock {
 public:
  SystemTime now() const override { return RealClock().now() + by; }
  std::chrono::seconds by{0};
};

struct MeshMember {
  unsigned number = 0;
  routing::RoleMask roles = 0;
  std::string address;  // of its mesh port
};
// As `self` gets it: those with the role service are behind NAT and have dialled every relay; they
// are the members of `service`.
routing::Directory mesh_directory(const std::vector<MeshMember>& members, unsigned self,
                                  const std::string& service, const std::string& organization);

class MeshWorld {
 public:
  MeshWorld();
  ~MeshWorld();

  // Certificates for a node of this cluster; `entry` only with that role.
  MeshNodeSetup setup_of(unsigned number, routing::RoleMask roles) const;
  MeshNode& add(unsigned number, routing::RoleMask roles, fabric::SessionHandler sessions = {});
  // Starts all nodes and gives each its directory.
  void start();
  MeshNode& node(unsigned number);
  void give_directories();
  // The certificate of the service, to the node that it runs on.
  net::TlsIdentity service_identity() const;

  fabric::CarryClaims carry_claims() const;
  fabric::LeaseClaims session_claims() const;
  std::string mint(const fabric::CarryClaims& claims) const;
  std::string mint(const fabric::LeaseClaims& claims) const;
  fabric::MeshSessionOptions session() const;

  boost::asio::io_context io;
  MovedClock clock;
  resume::RealResumeClock resume_clock;
  TestCa ca;
  Bytes lease_private_key;
  fabric::LeaseKey lease_key;
  net::TlsIdentity client;
  std::string service = numbered("svc_", 1);
  std::string organization = org_id(1);
  // Where nodes added from now on listen.
  std::string loopback = "127.0.0.1";
  // Dead paths are noticed sooner than in the product, so that tests need not wait.
  resume::ResumeLimits resume;
  fabric::ServiceEndLimits services;

 private:
  struct Member {
    unsigned number;
    routing::RoleMask roles;
    std::unique_ptr<MeshNode> node;
  };
  std::vector<Member> members_;
};

// A session that sends back what it gets.
fabric::SessionHandler echo_sessions();

}  // namespace rap::test
