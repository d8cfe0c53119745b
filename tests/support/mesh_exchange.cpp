#include "tests/support/mesh_exchange.hpp"

#include <algorithm>
#include <random>

#include "base/net/event.hpp"
#include "base/net/net_error.hpp"
#include "base/net/task_group.hpp"

namespace rap::test {

using net::Task;

namespace {

constexpr std::size_t kPieceBytes = 4096;

struct Sending {
  explicit Sending(const net::asio::any_io_executor& executor) : done(executor) {}
  std::size_t sent = 0;
  bool enough = false;
  Sha256 hash;
  net::Event done;
};

Task<void> send(net::ByteStream& stream, std::size_t bytes, std::shared_ptr<Sending> out) {
  std::mt19937_64 random(bytes);
  Bytes piece(kPieceBytes);
  while (out->sent < bytes && !out->enough) {
    for (std::uint8_t& byte : piece) byte = static_cast<std::uint8_t>(random());
    std::copy(kPlaintextMark.begin(), kPlaintextMark.end(), piece.begin() + 100);
    const ByteView part = ByteView(piece).first(std::min(bytes - out->sent, piece.size()));
    co_await stream.write_all(part);
    out->hash.update(part);
    out->sent += part.size();
  }
  co_await stream.shutdown();
  out->done.set();
}

}  // namespace

Task<Exchange> exchange(net::ByteStream& stream, std::size_t bytes, OnProgress progress) {
  auto executor = co_await net::asio::this_coro::executor;
  auto sending = std::make_shared<Sending>(executor);
  net::TaskGroup tasks(executor);
  tasks.spawn("send", send(stream, bytes, sending));
  Exchange out;
  Sha256 received;
  Bytes buffer(64 * 1024);
  for (;;) {
    const std::size_t n = co_await stream.read_some(buffer);
    if (n == 0) break;
    received.update(ByteView(buffer).first(n));
    out.received += n;
    if (progress && progress(out.received) == Then::enough) sending->enough = true;
  }
  co_await sending->done.wait();
  out.sent = sending->sent;
  out.same = out.sent == out.received && sending->hash.finish() == received.finish();
  co_return out;
}

}  // namespace rap::test
