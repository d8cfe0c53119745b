#include "base/net/http_server.hpp"

#include <unistd.h>

#include <cstring>
#include <map>

#include <boost/asio/steady_timer.hpp>

#include "base/log.hpp"
#include "base/net/asio_error.hpp"
#include "base/net/connection_slots.hpp"
#include "base/net/http_connection.hpp"
#include "base/net/task_group.hpp"
#include "base/net/timer.hpp"

namespace rap::net {

struct HttpServer::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::any_io_executor e, std::unique_ptr<Listener> l, std::optional<TlsServerContext> t,
       HttpHandler h, HttpServerLimits m)
      : executor(e),
        listener(std::move(l)),
        tls(std::move(t)),
        handler(std::move(h)),
        limits(m),
        slots({m.connections_max, m.per_network_max}),
        accepting(e),
        tasks(e) {}

  asio::any_io_executor executor;
  std::unique_ptr<Listener> listener;
  std::optional<TlsServerContext> tls;
  HttpHandler handler;
  HttpServerLimits limits;
  HttpServerStats stats;
  ConnectionSlots slots;
  std::uint64_t next_connection = 1;
  std::map<std::uint64_t, HttpConnection*> connections;  // each registers itself while it serves
  bool draining = false;
  TaskGroup accepting;  // the accept loop alone: drain stops it first
  TaskGroup tasks;      // connections

  static Task<void> accept_loop(std::shared_ptr<Impl> self) {
    for (;;) {
      std::unique_ptr<TcpStream> socket = co_await self->listener->accept();
      ++self->stats.accepted;
      auto slot = self->slots.take(*socket);
      if (!slot) {
        ++self->stats.refused_full;
        socket->close();
        continue;
      }
      ++self->stats.connections;
      self->tasks.spawn("http connection", serve(self, std::move(socket), std::move(slot)));
    }
  }

  // Counts a connection and a handshake for as long as it lives.
  struct Count {
    Impl& impl;
    bool handshaking = false;
    explicit Count(Impl& i) : impl(i) {}
    ~Count() {
      end_handshake();
      --impl.stats.connections;
    }
    void begin_handshake() {
      handshaking = true;
      ++impl.stats.handshakes;
    }
    void end_handshake() {
      if (!handshaking) return;
      handshaking = false;
      --impl.stats.handshakes;
    }
  };

  static Task<void> serve(std::shared_ptr<Impl> self, std::unique_ptr<TcpStream> socket,
                          std::unique_ptr<ConnectionSlots::Slot> slot) {
    Count count(*self);
    PeerInfo peer;
    peer.address = socket->peer_address();
    peer.connection = self->next_connection++;
    ByteStreamPtr stream;
    if (self->tls) {
      count.begin_handshake();
      std::optional<Error> refused;
      try {
        auto secured =
            co_await accept_tls(std::move(socket), *self->tls, self->limits.handshake_timeout);
        peer.certificate = secured->peer_certificate();
        stream = std::move(secured);
      } catch (const NetError& error) {
        refused = error.error();
      }
      count.end_handshake();
      if (refused) {
        ++self->stats.handshake_failed;
        log::debug("TLS handshake failed", {{"peer", peer.address}, {"error", refused->text()}});
        co_return;
      }
    } else {
      stream = std::move(socket);
    }
    slot->established();
    if (self->draining) co_return;
    const std::uint64_t number = peer.connection;
    auto connection =
        std::make_shared<HttpConnection>(self->executor, std::move(stream), std::move(peer),
                                         self->limits, self->handler, self->stats);
    struct Registration {
      Impl& impl;
      std::uint64_t number;
      ~Registration() { impl.connections.erase(number); }
    } registration{*self, number};
    self->connections.emplace(number, connection.get());
    // `slot` outlives what serve() below calls.
    connection->when_idle_changes(
        [impl = self.get(), place = slot.get(), weak = std::weak_ptr(connection)](bool idle) {
          if (!idle) return place->busy();
          place->idle([impl, weak] {
            ++impl->stats.ended_idle;
            if (const auto idler = weak.lock()) idler->abort();
          });
        });
    self->tasks.spawn("http reader", HttpConnection::read_loop(connection));
    co_await HttpConnection::serve(connection);
  }
};

HttpServer::HttpServer(asio::any_io_executor executor, std::unique_ptr<Listener> listener,
                       std::optional<TlsServerContext> tls, HttpHandler handler,
                       HttpServerLimits limits)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(listener), std::move(tls),
                                   std::move(handler), limits)) {}

HttpServer::~HttpServer() {
  impl_->listener->close();
  for (auto& [number, connection] : impl_->connections) connection->abort();
  impl_->accepting.cancel();
  impl_->tasks.cancel();
}

void HttpServer::start() {
  impl_->accepting.spawn("http accept", Impl::accept_loop(impl_));
}

HostPort HttpServer::local_address() const {
  return impl_->listener->local_address();
}

HttpServerStats HttpServer::stats() const {
  return impl_->stats;
}

std::size_t HttpServer::close_connections_if(
    const std::function<bool(const PeerInfo&)>& predicate) {
  std::size_t closed = 0;
  for (auto& [number, connection] : impl_->connections) {
    if (!predicate(connection->peer())) continue;
    connection->abort();
    ++closed;
  }
  return closed;
}

Task<void> HttpServer::drain(milliseconds grace) {
  auto impl = impl_;
  impl->draining = true;
  impl->listener->close();
  co_await impl->accepting.drain(milliseconds(0));
  for (auto& [number, connection] : impl->connections) connection->finish();
  co_await impl->tasks.drain(grace);
}

}  // namespace rap::net
