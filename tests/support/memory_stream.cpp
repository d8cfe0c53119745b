#include "tests/support/memory_stream.hpp"

#include <algorithm>

#include "base/net/event.hpp"
#include "base/net/net_error.hpp"

namespace rap::test {

namespace {

using net::NetError;
using net::Task;

// One direction.
struct Pipe {
  Pipe(net::asio::any_io_executor executor, std::size_t n) : capacity(n), changed(executor) {}
  std::size_t capacity;
  Bytes bytes;
  bool ended = false;  // the writer shut down
  bool reader_gone = false;
  bool cut = false;  // the writer closed without shutting down
  net::Event changed;

  void touch() {
    changed.set();
    changed.reset();
  }
};

class MemoryStream final : public net::ByteStream {
 public:
  MemoryStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out)
      : in_(std::move(in)), out_(std::move(out)) {}
  ~MemoryStream() override { close(); }

  Task<std::size_t> read_some(std::span<std::uint8_t> into) override {
    const auto in = in_;
    for (;;) {
      if (in->reader_gone) throw NetError(Errc::cancelled, "read: closed");
      if (!in->bytes.empty()) break;
      if (in->cut) throw NetError(Errc::unavailable, "read: cut");
      if (in->ended) co_return 0;
      co_await in->changed.wait();
    }
    const std::size_t n = std::min(into.size(), in->bytes.size());
    std::copy_n(in->bytes.begin(), n, into.begin());
    in->bytes.erase(in->bytes.begin(), in->bytes.begin() + static_cast<std::ptrdiff_t>(n));
    in->touch();
    co_return n;
  }

  Task<void> write_all(ByteView bytes) override {
    const auto out = out_;
    while (!bytes.empty()) {
      if (out->cut || out->ended) throw NetError(Errc::cancelled, "write: closed");
      if (out->reader_gone) throw NetError(Errc::unavailable, "write: the peer is gone");
      const std::size_t room = out->capacity - out->bytes.size();
      if (room == 0) {
        co_await out->changed.wait();
        continue;
      }
      const std::size_t n = std::min(room, bytes.size());
      out->bytes.insert(out->bytes.end(), bytes.begin(),
                        bytes.begin() + static_cast<std::ptrdiff_t>(n));
      bytes = bytes.subspan(n);
      out->touch();
    }
  }

  Task<void> shutdown() override {
    out_->ended = true;
    out_->touch();
    co_return;
  }

  void close() override {
    in_->reader_gone = true;
    if (!out_->ended) out_->cut = true;
    in_->touch();
    out_->touch();
  }

 private:
  std::shared_ptr<Pipe> in_;  // shared with the other end
  std::shared_ptr<Pipe> out_;
};

}  // namespace

MemoryPair make_memory_pair(net::asio::any_io_executor executor, std::size_t capacity) {
  auto forth = std::make_shared<Pipe>(executor, capacity);
  auto back = std::make_shared<Pipe>(executor, capacity);
  return MemoryPair{std::make_unique<MemoryStream>(back, forth),
                    std::make_unique<MemoryStream>(forth, back)};
}

}  // namespace rap::test
