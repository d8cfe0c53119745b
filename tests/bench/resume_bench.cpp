// What a resumable stream costs over the bare one below it: both ends in this process, one thread,
// loopback TCP, without and with TLS 1.3. Rounds in turns.
// resume_bench [MEGABYTES]: prints one JSON object per figure.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "base/net/event.hpp"
#include "base/net/task_group.hpp"
#include "base/net/tcp.hpp"
#include "base/net/tls.hpp"
#include "fabric/resume/registry.hpp"
#include "tests/support/run_task.hpp"
#include "tests/support/test_ca.hpp"

namespace {

using namespace rap;
using net::ByteStreamPtr;
using net::milliseconds;
using net::Task;
using Clock = std::chrono::steady_clock;

constexpr int kRounds = 5;
constexpr int kEchoes = 4'000;
constexpr int kKills = 1'000;
constexpr std::size_t kPieceBytes = 64 * 1024;
constexpr milliseconds kTimeout{10'000};

struct Ends {
  ByteStreamPtr near;
  ByteStreamPtr far;
};

class Bench {
 public:
  Bench() {
    net::TlsServerOptions server;
    server.identity = ca_.issue({.common_name = "far", .subject_alt_name = "DNS:far"});
    server.clients = net::NoClientCertificate{};
    server_ = net::TlsServerContext::create(server).value();
    net::TlsClientOptions client;
    client.trust = net::TrustCa{ca_.pem()};
    client_ = net::TlsClientContext::create(client).value();
    const net::HostPort any{"127.0.0.1", 0};
    listener_ = std::move(net::Listener::bind(io.get_executor(), any).value());
  }

  boost::asio::io_context io;

  Task<void> take_far(ByteStreamPtr& out, bool tls) {
    ByteStreamPtr stream = co_await listener_->accept();
    if (tls) stream = co_await net::accept_tls(std::move(stream), *server_, kTimeout);
    out = std::move(stream);
  }
  Task<Ends> connect(bool tls) {
    Ends out;
    net::TaskGroup group(co_await net::asio::this_coro::executor);
    group.spawn("far", take_far(out.far, tls));
    const auto port = listener_->local_address().port;
    ByteStreamPtr near = co_await net::connect_tcp("127.0.0.1", port, kTimeout);
    if (tls) {
      const net::ExpectedPeer far = net::HostName{"far"};
      near = co_await net::connect_tls(std::move(near), *client_, far, kTimeout);
    }
    out.near = std::move(near);
    co_await group.drain(kTimeout);
    co_return out;
  }

  // The same, as a resumable stream. `kill` is what cuts its newest transport.
  Task<void> serve(ByteStreamPtr transport) {
    auto result = co_await registry_.accept(std::move(transport), {});
    if (result && *result) accepted_ = std::move(*result);
  }
  Task<ByteStreamPtr> open_transport(bool tls) {
    Ends ends = co_await connect(tls);
    newest = dynamic_cast<net::TcpStream*>(
        tls ? &dynamic_cast<net::TlsStream&>(*ends.near).transport() : ends.near.get());
    serving_.spawn("serve", serve(std::move(ends.far)));
    co_return std::move(ends.near);
  }
  Task<Ends> connect_resumable(bool tls) {
    resume::OpenTransport open = [this, tls] { return open_transport(tls); };
    Ends out;
    out.near = co_await resume::open_resumable(std::move(open), {}, clock_);
    out.far = std::move(accepted_);
    co_return out;
  }
  net::TcpStream* newest = nullptr;

 private:
  test::TestCa ca_;
  std::optional<net::TlsServerContext> server_;
  std::optional<net::TlsClientContext> client_;
  std::unique_ptr<net::Listener> listener_;
  resume::RealResumeClock clock_;
  net::TaskGroup serving_{io.get_executor()};
  resume::ResumeRegistry registry_{io.get_executor(), {}, {}, clock_};
  ByteStreamPtr accepted_;
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

template <typename T>
T quantile(std::vector<T> values, double q) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(values.size() * q))];
}

Task<void> send(net::ByteStream& stream, std::size_t bytes) {
  const Bytes piece(kPieceBytes, 'x');
  for (std::size_t sent = 0; sent < bytes; sent += piece.size()) co_await stream.write_all(piece);
}

struct Bulk {
  double megabytes_per_s = 0;
  double cpu_ns_per_byte = 0;
};

Task<Bulk> bulk(Ends& ends, std::size_t bytes) {
  net::TaskGroup group(co_await net::asio::this_coro::executor);
  const auto began = Clock::now();
  const double cpu = cpu_seconds();
  group.spawn("send", send(*ends.near, bytes));
  Bytes piece(kPieceBytes);
  for (std::size_t got = 0; got < bytes;) got += co_await ends.far->read_some(piece);
  Bulk out;
  out.megabytes_per_s = static_cast<double>(bytes) / seconds_since(began) / 1e6;
  out.cpu_ns_per_byte = (cpu_seconds() - cpu) * 1e9 / static_cast<double>(bytes);
  co_await group.drain(kTimeout);
  co_return out;
}

Task<void> echo_back(net::ByteStream& stream) {
  Bytes one(64);
  for (;;) {
    const std::size_t n = co_await stream.read_some(one);
    if (n == 0) co_return;
    co_await stream.write_all(ByteView(one).first(n));
  }
}

Task<std::vector<double>> echo(Ends& ends) {
  net::TaskGroup group(co_await net::asio::this_coro::executor);
  group.spawn("echo", echo_back(*ends.far));
  std::vector<double> micros;
  Bytes one(1, 'k');
  for (int i = 0; i < kEchoes; ++i) {
    const auto began = Clock::now();
    co_await ends.near->write_all(one);
    (void)co_await ends.near->read_some(one);
    micros.push_back(seconds_since(began) * 1e6);
  }
  co_await group.drain(milliseconds(0));
  co_return micros;
}

// From the death of the transport to the first byte that came back over the next.
Task<std::vector<double>> kills(Bench& bench, Ends& ends) {
  net::TaskGroup group(co_await net::asio::this_coro::executor);
  group.spawn("echo", echo_back(*ends.far));
  std::vector<double> millis;
  Bytes one(1, 'k');
  for (int i = 0; i < kKills; ++i) {
    const auto began = Clock::now();
    ::shutdown(bench.newest->native_handle(), SHUT_RDWR);
    co_await ends.near->write_all(one);
    const std::size_t n = co_await ends.near->read_some(one);
    if (n != 1) throw std::runtime_error("the stream ended");
    millis.push_back(seconds_since(began) * 1e3);
  }
  co_await group.drain(milliseconds(0));
  co_return millis;
}

void run(Bench& bench, bool tls, std::size_t bytes) {
  const char* below = tls ? "tls" : "tcp";
  std::vector<double> rate[2];
  std::vector<double> cpu[2];
  std::vector<double> micros[2];
  for (int round = 0; round < kRounds; ++round) {
    for (const int ours : {0, 1}) {
      Ends ends =
          test::run_task(bench.io, ours != 0 ? bench.connect_resumable(tls) : bench.connect(tls));
      const Bulk figure = test::run_task(bench.io, bulk(ends, bytes));
      rate[ours].push_back(figure.megabytes_per_s);
      cpu[ours].push_back(figure.cpu_ns_per_byte);
      const auto times = test::run_task(bench.io, echo(ends));
      micros[ours].insert(micros[ours].end(), times.begin(), times.end());
    }
  }
  fmt::print(R"({{"what":"bulk","below":"{}","bare_mb_s":{:.0f},"ours_mb_s":{:.0f},)"
             R"("bare_ns_byte":{:.4f},"ours_ns_byte":{:.4f}}})"
             "\n",
             below, quantile(rate[0], 0.5), quantile(rate[1], 0.5), quantile(cpu[0], 0.5),
             quantile(cpu[1], 0.5));
  fmt::print(R"({{"what":"echo","below":"{}","bare_p50_us":{:.1f},"ours_p50_us":{:.1f},)"
             R"("bare_p99_us":{:.1f},"ours_p99_us":{:.1f}}})"
             "\n",
             below, quantile(micros[0], 0.5), quantile(micros[1], 0.5), quantile(micros[0], 0.99),
             quantile(micros[1], 0.99));
  Ends ends = test::run_task(bench.io, bench.connect_resumable(tls));
  const auto millis = test::run_task(bench.io, kills(bench, ends));
  fmt::print(R"({{"what":"reconnect","below":"{}","kills":{},"p50_ms":{:.2f},"p99_ms":{:.2f}}})"
             "\n",
             below, kKills, quantile(millis, 0.5), quantile(millis, 0.99));
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t megabytes = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 512;
  Bench bench;
  for (const bool tls : {false, true}) run(bench, tls, megabytes << 20);
  std::fflush(stdout);
  std::_Exit(0);  // the last streams are still saying goodbye
}
