// An adapter without sessions: the host hands it connections, it sends back what it reads from
// them. Configuration: {"greeting": "what everybody is told first"}.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include <rap/rap.hpp>

struct EchoService;

// One connection. Reads only while nothing waits to be written: who does not read is not read from.
struct Connection {
  Connection(EchoService& the_service, int the_fd) : service(the_service), fd(the_fd) {}
  ~Connection();
  void on_ready(int, std::uint32_t events);
  void flush();
  void callback_failed(rap_result, const char*) {}

  EchoService& service;
  const int fd;
  std::string waiting;
};

struct EchoService : rap::Adapter {
  static constexpr rap::Info info{.id = "rap.echo-service",
                                  .name = "Echo service",
                                  .vendor = "RAP",
                                  .version = "0.1.0",
                                  .roles = {"echo-service"},
                                  .needs = {RAP_HOST_LOOP, RAP_HOST_CONFIG},
                                  .wants = {RAP_HOST_LOG},
                                  .provides = {RAP_ADAPTER_ACCEPT},
                                  .config_schema = R"({"type":"object","additionalProperties":false,
          "properties":{"greeting":{"type":"string","maxLength":200}}})",
                                  .share = RAP_SHARE_WORKLOAD};
  // Enough for an example; the next one waits in the kernel's queue.
  static constexpr std::size_t kConnectionsMax = 64;

  using Adapter::Adapter;

  void start() override {
    rap_str text{};
    const auto& config = host.need<rap_host_config_1>();
    if (config.get_text(host.raw, "/greeting", &text) == RAP_OK) greeting = rap::view(text);
    host.log(RAP_LOG_INFO, "echo service started");
  }
  void accept(int fd, const rap_incoming&) override {
    if (connections.size() >= kConnectionsMax) throw rap::Failure(RAP_E_BUSY, "64 connections");
    auto fresh = std::make_unique<Connection>(*this, fd);
    // From here on ~Connection closes it, so nothing below may fail: M4 leaves it to the host then.
    Connection& connection = *connections.emplace(fd, std::move(fresh)).first->second;
    connection.waiting = greeting;
    connection.flush();
  }
  void health(rap_health& out) override {
    out.streams = static_cast<std::uint32_t>(connections.size());
  }
  void stop() override { connections.clear(); }

  const rap_host_loop_1& loop = host.need<rap_host_loop_1>();
  std::string greeting;
  std::map<int, std::unique_ptr<Connection>> connections;
};

Connection::~Connection() {
  service.loop.unwatch(service.host.raw, fd);
  close(fd);
}

void Connection::on_ready(int, std::uint32_t events) {
  if (waiting.empty() && (events & (RAP_IO_READ | RAP_IO_ERROR)) != 0) {
    char bytes[4096];
    const ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
      service.connections.erase(fd);
      return;
    }
    if (n > 0) waiting.assign(bytes, static_cast<std::size_t>(n));
  }
  flush();
}

void Connection::flush() {
  const ssize_t n = send(fd, waiting.data(), waiting.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n > 0) waiting.erase(0, static_cast<std::size_t>(n));
  if (n < 0 && errno != EAGAIN && errno != EINTR) waiting.clear();  // the next read says it is over
  const std::uint32_t events = waiting.empty() ? RAP_IO_READ : RAP_IO_WRITE;
  service.loop.watch(service.host.raw, fd, events, rap::io<Connection, &Connection::on_ready>,
                     this);
}

RAP_PLUGIN(EchoService)
