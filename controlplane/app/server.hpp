// The running control plane: builds the parts, connects them, stops them in order.
#pragma once

#include <memory>

#include "base/clock.hpp"
#include "base/net/task.hpp"
#include "base/net/tcp.hpp"
#include "controlplane/config/config.hpp"

namespace rap::cp {

class Database;

class Server {
 public:
  // Checks schema and role, reads the keys, binds the port. On one executor; `clock` must outlive
  // the server. Needs PostgreSQL: a server that never saw its schema must not start.
  static Result<std::unique_ptr<Server>> create(net::asio::any_io_executor executor,
                                                const Config& config, const Clock& clock);
  ~Server();

  void start();
  net::HostPort local_address() const;
  // Refuses new connections, lets requests finish, then ends every task and thread.
  net::Task<void> stop();

  Database& database();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Serves until SIGINT or SIGTERM.
Status run_serve(const Config& config);

}  // namespace rap::cp
