// Level 3 for adapters that are handed connections.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/plugin-check/load_checks.hpp"

namespace rap::check {
namespace {

using namespace std::chrono_literals;

constexpr auto kEndTime = 500ms;  // to notice that a peer has hung up
constexpr int kRounds = 200;      // enough to see a leak; the limit is time
constexpr int kDescriptors = 1024;

bool is_open(int fd) {
  return fcntl(fd, F_GETFD) >= 0;
}

int open_descriptors() {
  int out = 0;
  for (int fd = 0; fd < kDescriptors; ++fd) out += is_open(fd) ? 1 : 0;
  return out;
}

// A started adapter and one connection at a time.
struct Accepting {
  Accepting(const Scene& scene, TestHost& host) : adapter(scene, host) {
    if (adapter.created() != RAP_OK || adapter.start() != RAP_OK) return;
    table = static_cast<const rap_adapter_accept_1*>(
        adapter.get()->get_extension(adapter.get(), RAP_ADAPTER_ACCEPT));
  }
  // Our end in `mine`; the number of the adapter's end, open whatever it answered.
  rap_result accept(Fd& mine, int& theirs) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
      return RAP_E_RESOURCE;
    }
    mine.reset(ends[0]);
    theirs = ends[1];
    rap_incoming from{};
    from.size = sizeof from;
    from.kind = RAP_STREAM_BYTES;
    from.service = {"check", 5};
    return table->accept(adapter.get(), theirs, &from);
  }

  Running adapter;
  const rap_adapter_accept_1* table = nullptr;
};

template <typename Body>
Outcome with_adapter(const Scene& scene, Body&& body) {
  TestHost host(scene.grants());
  Accepting accepting(scene, host);
  if (!accepting.table) return skip("the adapter does not start: " + host.failure());
  return judged(host, body(host, accepting));
}

Outcome owns(const Scene& scene, const std::string&) {
  return with_adapter(scene, [](TestHost& host, Accepting& accepting) {
    Fd mine;
    int theirs = -1;
    const rap_result result = accepting.accept(mine, theirs);
    if (result != RAP_OK) {
      if (!is_open(theirs)) return broken("accept() refused a connection and closed it");
      close(theirs);
      return skip("accept() answered " + result_name(result) + ": " + host.failure());
    }
    (void)!send(mine.get(), "check\r\n", 7, MSG_NOSIGNAL);
    host.pump(50ms, [] { return false; });
    mine.reset();
    host.pump(kEndTime, [&] { return !is_open(theirs); });
    return is_open(theirs) ? broken("a connection whose peer is gone is still open") : pass();
  });
}

Outcome many(const Scene& scene, const std::string&) {
  return with_adapter(scene, [](TestHost& host, Accepting& accepting) {
    const int before = open_descriptors();
    for (int i = 0; i < kRounds; ++i) {
      Fd mine;
      int theirs = -1;
      if (accepting.accept(mine, theirs) != RAP_OK) close(theirs);
      mine.reset();
      host.pump(1ms, [] { return false; });
    }
    host.pump(kEndTime, [&] { return open_descriptors() <= before; });
    const int left = open_descriptors() - before;
    if (left > 0) return broken(fmt::format("{} descriptors left of {}", left, kRounds));
    return pass();
  });
}

Outcome stops(const Scene& scene, const std::string&) {
  return with_adapter(scene, [](TestHost&, Accepting& accepting) {
    Fd mine;
    int theirs = -1;
    if (accepting.accept(mine, theirs) != RAP_OK) return skip("accept() takes nothing here");
    accepting.adapter.stop();
    accepting.adapter.destroy();
    return is_open(theirs) ? broken("a connection is open after destroy()") : pass();
  });
}

}  // namespace

std::vector<BoxedCheck> accept_checks() {
  return {{3, "M4", "accept-owns", owns},
          {3, "M4", "accept-many", many},
          {3, "P6", "accept-stop", stops}};
}

}  // namespace rap::check
