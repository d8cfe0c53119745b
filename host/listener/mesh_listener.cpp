#include "host/listener/mesh_listener.hpp"

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/net/pump.hpp"
#include "base/net/timer.hpp"
#include "fabric/names.hpp"

namespace rap::listener {

namespace {

using net::NetError;
using net::Task;

// Counts up for as long as it lives.
struct Counted {
  std::size_t& count;
  explicit Counted(std::size_t& c) : count(c) { ++count; }
  ~Counted() { --count; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

unsigned status_of(Errc code) {
  switch (code) {
    case Errc::invalid:
    case Errc::malformed:
    case Errc::too_large:
    case Errc::unsupported:
      return 400;
    case Errc::not_found:
      return 404;
    case Errc::unauthorized:
    case Errc::forbidden:
    case Errc::expired:
    case Errc::bad_signature:
    case Errc::mismatch:
    case Errc::conflict:
      return 403;
    default:
      return 503;
  }
}

}  // namespace

struct MeshListener::Client {
  std::uint64_t number = 0;
  std::string address;
  Sha256Digest certificate_sha256{};
};

MeshListener::MeshListener(net::asio::any_io_executor executor, ipc::ServerOptions ipc,
                           const Clock& clock, MeshLimits limits)
    : executor_(executor),
      clock_(clock),
      limits_(limits),
      agent_(executor, std::move(ipc),
             ipc::IpcServer::Handlers{
                 [this](RequestId id, ipc::Message message) { on_request(id, std::move(message)); },
                 [this](boost::json::object& out) {
                   for (auto& [key, value] : status()) out[key] = value;
                 }}),
      slots_({limits.connections_max, limits.per_network_max}),
      dialler_(limits.dials),
      tasks_(executor) {}

MeshListener::~MeshListener() {
  if (listener_) listener_->close();
}

void MeshListener::start() {
  tasks_.spawn("agent link", agent_.run());
}

Task<void> MeshListener::drain(net::milliseconds grace) {
  if (listener_) listener_->close();
  for (auto& [number, weak] : clients_) {
    if (const auto connection = weak.lock()) connection->drain();
  }
  const auto until = std::chrono::steady_clock::now() + grace;
  while (connections_ > 0 && std::chrono::steady_clock::now() < until) {
    co_await net::sleep_for(net::milliseconds(20));
  }
  co_await tasks_.drain(net::milliseconds(0));
}

// ---- the agent's requests ----

void MeshListener::on_request(RequestId id, ipc::Message message) {
  const boost::json::object& body = *message.body;
  if (message.op == "configure") {
    const auto endpoint = configure(body);
    if (!endpoint) {
      log::warn("configuration refused", {{"error", endpoint.error().text()}});
      agent_.server().refuse(id, endpoint.error());
      return;
    }
    boost::json::object answer;
    answer["endpoint"] = endpoint->text();
    agent_.server().answer(id, answer);
    return;
  }
  if (message.op == "status") {
    agent_.server().answer(id, status());
    return;
  }
  if (message.op == "dial") {
    const auto host = json_string(body, "host");
    const auto port = json_int(body, "port");
    const auto timeout = json_int(body, "timeout_ms");
    if (!host || !port || !timeout || host->empty() || host->size() > 253 || *port < 1 ||
        *port > 65535 || *timeout < 1) {
      agent_.server().refuse(id, Error{Errc::invalid, "dial: host, port, timeout_ms"});
      return;
    }
    std::string share = json_string_or_none(body, "organization").value_or("");
    const net::milliseconds limit(*timeout);
    tasks_.spawn("dial", dial(id, *host, static_cast<std::uint16_t>(*port), limit, share));
    return;
  }
  agent_.server().refuse(id, Error{Errc::unsupported, "op " + message.op});
}

Result<net::HostPort> MeshListener::configure(const boost::json::object& body) {
  auto config = parse_configure(body, clock_.now());
  if (!config) return fail(config.error());
  if (!listener_ || !config_ || config_->listen != config->listen) {
    // The new address first: when it cannot be had, the old one goes on.
    auto bound = net::Listener::bind(executor_, config->listen);
    if (!bound) return fail(bound.error());
    if (listener_) listener_->close();
    listener_ = std::move(*bound);
    tasks_.spawn("accept", accept_loop(listener_));
    log::info("listening", {{"endpoint", listener_->local_address().text()}});
  }
  config_ = std::move(*config);
  return listener_->local_address();
}

boost::json::object MeshListener::status() const {
  boost::json::object refused;
  for (const auto& [reason, count] : refused_) refused[reason] = count;
  boost::json::object out;
  out["streams"] = streams_;
  out["connections"] = connections_;
  out["refused"] = std::move(refused);
  if (listener_) out["endpoint"] = listener_->local_address().text();
  return out;
}

Task<void> MeshListener::dial(RequestId id, std::string host, std::uint16_t port,
                              net::milliseconds timeout, std::string share) {
  auto connected = co_await dialler_.dial(std::move(host), port, timeout, std::move(share));
  if (!connected) {
    agent_.server().refuse(id, connected.error());
    co_return;
  }
  const int fds[] = {connected->get()};
  const boost::json::object nothing;
  agent_.server().answer(id, nothing, fds);
}

// ---- clients ----

Task<void> MeshListener::accept_loop(std::shared_ptr<net::Listener> listener) {
  for (;;) {
    auto socket = co_await listener->accept();
    auto slot = slots_.take(*socket);
    if (!slot) {
      ++refused_["full"];
      socket->close();
      continue;
    }
    tasks_.spawn("client", serve_connection(std::move(socket), std::move(slot)));
  }
}

Task<void> MeshListener::serve_connection(std::unique_ptr<net::TcpStream> socket,
                                          std::unique_ptr<net::ConnectionSlots::Slot> slot) {
  Counted counted(connections_);
  auto client = std::make_shared<Client>();
  client->number = next_client_++;
  client->address = socket->peer_address();
  net::TcpOptions tcp;
  tcp.not_sent_low_water = fabric::kNotSentLowWater;
  socket->set_options(tcp);

  std::unique_ptr<net::TlsStream> secured;
  try {
    secured = co_await net::accept_tls(std::move(socket), config_->tls, limits_.handshake_timeout);
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    ++refused_["tls"];
    log::debug("TLS handshake failed", {{"peer", client->address}, {"error", error.what()}});
  }
  if (!secured) co_return;
  slot->established();
  client->certificate_sha256 = secured->peer_certificate()->sha256;

  fabric::ConnectHandler handler = [this,
                                    client](std::unique_ptr<fabric::IncomingConnect> incoming) {
    return serve_connect(client, std::move(incoming));
  };
  fabric::H2Limits h2_limits;
  auto connection = fabric::H2Connection::make_server(executor_, std::move(secured), h2_limits,
                                                      std::move(handler));
  clients_.emplace(client->number, connection);
  connection->start();
  struct Registration {
    MeshListener& self;
    std::uint64_t number;
    fabric::H2Connection& connection;
    ~Registration() {
      self.clients_.erase(number);
      connection.close();
    }
  } registration{*this, client->number, *connection};
  co_await connection->ended();
}

Result<fabric::LeaseClaims> MeshListener::authorize(const Client& client,
                                                    const fabric::ConnectRequest& request) {
  const auto session = fabric::session_of_authority(request.authority);
  if (!session) return fail(Errc::invalid, "the authority names no session");
  const auto lease = request.headers.find(fabric::kLeaseHeader);
  if (!lease) return fail(Errc::unauthorized, "no lease");
  const SystemTime now = clock_.now();
  auto claims = config_->verifier.verify(*lease, client.certificate_sha256, now);
  if (!claims) return claims;
  if (claims->session_id != *session) {
    return fail(Errc::mismatch, "lease: for another session");
  }
  const Status fresh = replays_.use(*claims, now);
  if (!fresh) return fail(fresh.error());
  return claims;
}

void MeshListener::refuse(const Client& client, fabric::IncomingConnect& incoming,
                          const Error& error) {
  ++refused_[std::string(name(error.code))];
  log::info("stream refused", {{"peer", client.address}, {"error", error.text()}});
  net::HttpHeaders headers;
  headers.set(std::string(fabric::kErrorHeader), std::string(name(error.code)));
  headers.set(std::string(fabric::kDetailHeader), fabric::header_safe(error.detail));
  incoming.refuse(status_of(error.code), headers);
}

Task<void> MeshListener::serve_connect(std::shared_ptr<Client> client,
                                       std::unique_ptr<fabric::IncomingConnect> incoming) {
  const auto claims = authorize(*client, incoming->request());
  if (!claims) {
    refuse(*client, *incoming, claims.error());
    co_return;
  }
  auto pair = net::make_stream_pair(executor_);
  boost::json::object body;
  body["op"] = "stream";
  body["claims"] = fabric::lease_claims_to_json(*claims);
  if (const auto from = net::parse_host_port(client->address)) body["from"] = from->host;
  const bool agent_there = agent_.server().agent_connected();
  const auto patience = agent_there ? limits_.agent_answer : limits_.agent_away;
  auto answer = co_await agent_.call(std::move(body), std::move(pair.there), patience);
  if (!answer) {
    Error error = answer.error();
    if (error.code == Errc::timeout) {
      error = Error{Errc::unavailable, "the node's agent does not answer; try again"};
    }
    refuse(*client, *incoming, error);
    co_return;
  }
  net::ByteStreamPtr stream = incoming->accept();
  incoming.reset();
  co_await carry(client, std::move(stream), std::move(pair.here), claims->session_id);
}

Task<void> MeshListener::carry(std::shared_ptr<Client> client, net::ByteStreamPtr stream,
                               net::ByteStreamPtr worker, std::string session) {
  Counted counted(streams_);
  log::info("stream opened", {{"peer", client->address}, {"session", session}});
  net::PumpCounts counts;
  struct AtEnd {
    const Client& client;
    const std::string& session;
    const net::PumpCounts& counts;
    ~AtEnd() {
      log::info("stream closed", {{"peer", client.address},
                                  {"session", session},
                                  {"bytes_up", counts.up},
                                  {"bytes_down", counts.down}});
    }
  } at_end{*client, session, counts};
  co_await net::pump(std::move(stream), std::move(worker), counts);
}

}  // namespace rap::listener
