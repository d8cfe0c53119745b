// The node's only process with the network: takes streams of people for sessions, and dials targets
// for them. docs/contracts/ipc.md is what it says to the agent and to clients.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include <boost/json/fwd.hpp>

#include "base/clock.hpp"
#include "base/net/connection_slots.hpp"
#include "base/net/dialler.hpp"
#include "base/net/task_group.hpp"
#include "base/net/tcp.hpp"
#include "fabric/h2/connection.hpp"
#include "fabric/lease.hpp"
#include "host/ipc/server.hpp"
#include "host/listener/agent_link.hpp"
#include "host/listener/config.hpp"

namespace rap::listener {

struct MeshLimits {
  std::size_t connections_max = 1024;  // of clients, at once; see base/net/connection_slots.hpp
  std::size_t per_network_max = 256;   // an office behind one address; not everybody's places
  net::milliseconds handshake_timeout{10'000};
  net::milliseconds agent_answer{10'000};  // it may have to start a session worker
  net::milliseconds agent_away{5'000};     // how long a new stream waits for an agent that is gone
  net::DialLimits dials;
};

// One executor. Streams that run need neither the agent nor a valid configuration.
class MeshListener {
 public:
  MeshListener(net::asio::any_io_executor executor, ipc::ServerOptions ipc, const Clock& clock,
               MeshLimits limits = {});
  ~MeshListener();

  void start();
  // Stops accepting, tells clients to go, waits up to `grace` for their streams.
  net::Task<void> drain(net::milliseconds grace);

 private:
  using RequestId = ipc::IpcServer::RequestId;
  struct Client;  // one connection

  void on_request(RequestId id, ipc::Message message);
  Result<net::HostPort> configure(const boost::json::object& body);
  boost::json::object status() const;
  net::Task<void> dial(RequestId id, std::string host, std::uint16_t port,
                       net::milliseconds timeout, std::string share);

  net::Task<void> accept_loop(std::shared_ptr<net::Listener> listener);
  net::Task<void> serve_connection(std::unique_ptr<net::TcpStream> socket,
                                   std::unique_ptr<net::ConnectionSlots::Slot> slot);
  net::Task<void> serve_connect(std::shared_ptr<Client> client,
                                std::unique_ptr<fabric::IncomingConnect> incoming);
  Result<fabric::LeaseClaims> authorize(const Client& client,
                                        const fabric::ConnectRequest& request);
  void refuse(const Client& client, fabric::IncomingConnect& incoming, const Error& error);
  net::Task<void> carry(std::shared_ptr<Client> client, net::ByteStreamPtr stream,
                        net::ByteStreamPtr worker, std::string session);

  net::asio::any_io_executor executor_;
  const Clock& clock_;
  MeshLimits limits_;
  AgentLink agent_;
  std::optional<ListenerConfig> config_;
  std::shared_ptr<net::Listener> listener_;  // shared with its accept loop
  fabric::LeaseReplayGuard replays_;
  net::ConnectionSlots slots_;
  std::size_t connections_ = 0;
  std::size_t streams_ = 0;
  net::Dialler dialler_;
  std::uint64_t next_client_ = 1;
  std::map<std::string, std::uint64_t, std::less<>> refused_;  // by reason
  std::map<std::uint64_t, std::weak_ptr<fabric::H2Connection>> clients_;
  net::TaskGroup tasks_;
};

}  // namespace rap::listener
