#include "base/net/pump.hpp"

#include "base/net/net_error.hpp"
#include "base/net/task_group.hpp"

namespace rap::net {

namespace {

// What one HTTP/2 frame carries: with its 9 bytes of header exactly four TLS records.
constexpr std::size_t kDownBytes = 4 * 16384 - 9;
// Input is keys and pastes; a smaller buffer per stream, still one record.
constexpr std::size_t kUpBytes = 16 * 1024;

net::Task<void> copy(net::ByteStream& from, net::ByteStream& to, std::size_t piece,
                     std::uint64_t& count) {
  Bytes buffer(piece);
  for (;;) {
    const std::size_t n = co_await from.read_some(buffer);
    if (n == 0) break;
    co_await to.write_all(ByteView(buffer).first(n));
    count += n;
  }
  co_await to.shutdown();
}

// Owns both: the pump may be cancelled before this ends.
net::Task<void> copy_up(std::shared_ptr<net::ByteStream> client,
                        std::shared_ptr<net::ByteStream> worker,
                        std::shared_ptr<std::uint64_t> count) {
  bool ended = false;
  try {
    co_await copy(*client, *worker, kUpBytes, *count);
    ended = true;
  } catch (const net::NetError&) {
    // The client is gone, or the worker does not listen any more.
  }
  if (!ended) worker->close();
}

}  // namespace

net::Task<void> pump(std::shared_ptr<net::ByteStream> client,
                     std::shared_ptr<net::ByteStream> worker, PumpCounts& counts) {
  auto up = std::make_shared<std::uint64_t>(0);
  net::TaskGroup tasks(co_await net::asio::this_coro::executor);
  tasks.spawn("stream up", copy_up(client, worker, up));
  try {
    co_await copy(*worker, *client, kDownBytes, counts.down);
  } catch (const net::NetError&) {
    client->close();
  }
  worker->close();
  counts.up = *up;
  co_await tasks.drain(net::milliseconds(0));
}

}  // namespace rap::net
