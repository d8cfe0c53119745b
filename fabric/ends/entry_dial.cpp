#include "fabric/ends/entry_dial.hpp"

#include "base/net/event.hpp"
#include "base/net/task_group.hpp"

namespace rap::fabric {

using net::NetError;
using net::Task;

namespace {

// Shared by the attempts and whoever waits for them.
struct Race {
  Race(EntryDial d, const net::asio::any_io_executor& executor)
      : dial(std::move(d)), changed(executor) {}

  EntryDial dial;
  net::Event changed;
  DialledEntry winner;
  std::size_t failed = 0;
  Error last{Errc::unavailable, "no entry"};
};

Task<std::unique_ptr<net::TlsStream>> connect_one(std::shared_ptr<Race> race, std::size_t index) {
  const EntryDial& dial = race->dial;
  const net::HostPort& address = dial.entries[index];
  auto tcp = co_await net::connect_tcp(address.host, address.port, dial.timeout);
  tcp->set_options(dial.tcp);
  net::ExpectedPeer peer = net::SpiffeId{dial.spiffe_id};
  net::TlsClientContext tls = dial.tls;
  auto secured =
      co_await net::connect_tls(std::move(tcp), std::move(tls), std::move(peer), dial.timeout);
  co_return secured;
}

Task<void> attempt(std::shared_ptr<Race> race, std::size_t index) {
  std::unique_ptr<net::TlsStream> stream;
  try {
    stream = co_await connect_one(race, index);
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    race->last = error.error();
    ++race->failed;
  }
  if (stream && !race->winner.stream) race->winner = DialledEntry{index, std::move(stream)};
  race->changed.set();
}

}  // namespace

Task<DialledEntry> dial_entry(EntryDial dial) {
  auto executor = co_await net::asio::this_coro::executor;
  auto race = std::make_shared<Race>(std::move(dial), executor);
  net::TaskGroup attempts(executor);
  const std::size_t all = race->dial.entries.size();
  std::size_t started = 0;
  bool due = true;
  while (!race->winner.stream && race->failed < all) {
    // After the stagger, and at once when all that were begun have failed.
    if (started < all && (due || race->failed == started)) {
      attempts.spawn("dial an entry", attempt(race, started++));
    }
    race->changed.reset();
    const std::size_t failed_before = race->failed;
    const auto patience = started < all ? race->dial.stagger : race->dial.timeout * 2;
    const bool changed = co_await race->changed.wait_for(patience);
    due = !changed || race->failed > failed_before;
  }
  if (!race->winner.stream) throw NetError(race->last);
  co_return std::move(race->winner);  // the others are cancelled with `attempts`
}

}  // namespace rap::fabric
