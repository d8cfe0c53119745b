// Bulk and keystroke figures of one stream through a real listener over loopback.
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/integration/listener/fake_node.hpp"
#include "tests/support/run_task.hpp"

namespace {

using namespace rap;
using Steady = std::chrono::steady_clock;

struct Cpu {
  double user = 0;
  double system = 0;
};

Cpu cpu_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  std::istringstream rest(text.substr(text.rfind(')') + 2));
  std::string skip;
  for (int i = 0; i < 11; ++i) rest >> skip;
  Cpu out;
  rest >> out.user >> out.system;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  return Cpu{out.user / ticks, out.system / ticks};
}

double own_thread_cpu() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

net::Task<void> drain_all(net::ByteStream& stream, std::size_t total) {
  Bytes buffer(64 * 1024);
  for (std::size_t have = 0; have < total;) have += co_await stream.read_some(buffer);
}

net::Task<void> ping(net::ByteStream& stream, int count, std::vector<double>& out) {
  std::uint8_t byte = 'x';
  for (int i = 0; i < count; ++i) {
    const auto begin = Steady::now();
    co_await stream.write_all(ByteView(&byte, 1));
    co_await stream.read_some(std::span(&byte, 1));
    out.push_back(std::chrono::duration<double, std::micro>(Steady::now() - begin).count());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t megabytes = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1024;
  const std::size_t total = megabytes << 20;
  test::FakeNode node;
  node.configure();
  boost::asio::io_context io;
  Result<net::ByteStreamPtr> stream = fail(Errc::internal, "");
  auto options = node.client_options();
  options.tcp.congestion = "reno";
  auto opened = std::async(std::launch::async, [&] {
    stream = test::run_task(io, fabric::open_session_stream(options));
  });
  const Fd worker = node.take_stream();
  opened.get();
  if (!stream) {
    std::printf("%s\n", stream.error().text().c_str());
    return 1;
  }
  std::thread source([&] {
    const Bytes piece(256 * 1024, 'x');
    for (std::size_t sent = 0; sent < total;) {
      const std::size_t want = std::min(piece.size(), total - sent);
      const ssize_t n = ::send(worker.get(), piece.data(), want, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<std::size_t>(n);
    }
  });
  const Cpu before = cpu_of(node.pid());
  const double client_before = own_thread_cpu();
  const auto begin = Steady::now();
  test::run_task(io, drain_all(**stream, total));
  const double seconds = std::chrono::duration<double>(Steady::now() - begin).count();
  const double gigabytes = static_cast<double>(total) / 1e9;
  source.join();
  const Cpu after = cpu_of(node.pid());
  std::printf("down: %.0f MB/s; cpu-s/GB: listener %.2f user %.2f system, client %.2f\n",
              static_cast<double>(total) / 1e6 / seconds, (after.user - before.user) / gigabytes,
              (after.system - before.system) / gigabytes,
              (own_thread_cpu() - client_before) / gigabytes);

  std::thread echo([&] {
    char byte = 0;
    while (::recv(worker.get(), &byte, 1, 0) == 1) ::send(worker.get(), &byte, 1, MSG_NOSIGNAL);
  });
  std::vector<double> times;
  test::run_task(io, ping(**stream, 3000, times));
  std::sort(times.begin(), times.end());
  std::printf("echo: p50 %.0f us, p99 %.0f us\n", times[times.size() / 2],
              times[times.size() * 99 / 100]);
  stream->reset();
  ::shutdown(worker.get(), SHUT_RDWR);
  echo.join();
  return 0;
}
