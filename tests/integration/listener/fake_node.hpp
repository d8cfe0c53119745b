// A real rap-mesh-listener with an agent that the test plays.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "fabric/client.hpp"
#include "fabric/lease.hpp"
#include "host/ipc/blocking_client.hpp"
#include "tests/support/patience.hpp"
#include "tests/support/test_ca.hpp"

namespace rap::test {

class FakeNode {
 public:
  FakeNode();
  ~FakeNode();

  // A new agent, as after a restart; the old one's connection closes.
  void connect_agent();
  void drop_agent() { agent_.reset(); }
  ipc::BlockingClient& agent() { return *agent_; }

  boost::json::object configuration() const;
  // Sends configuration() and remembers the endpoint.
  void configure();
  void set_node_certificate(const net::TlsIdentity& identity) { node_ = identity; }

  // What rapctl would use: a fresh identity, session and lease.
  fabric::SessionStreamOptions client_options() const;
  fabric::LeaseClaims claims_for(const net::TlsIdentity& identity,
                                 const std::string& session) const;
  std::string mint(const fabric::LeaseClaims& claims) const;

  // Waits for the listener's `stream` request and takes it; the worker's end.
  Fd take_stream();

  pid_t pid() const { return pid_; }
  // SIGTERM; the exit code.
  int stop();

  TestCa ca{"cluster"};
  const std::string cluster = "cls_1";
  const std::string spiffe = "spiffe://cls_1/node/nod_1";
  std::string endpoint;

 private:
  std::string directory_;
  std::string socket_path_;
  pid_t pid_ = -1;
  std::int64_t fence_ = 0;
  Bytes lease_key_;
  net::TlsIdentity node_;
  std::unique_ptr<ipc::BlockingClient> agent_;
};

}  // namespace rap::test
