#include "tests/support/faulty_pair.hpp"

#include <algorithm>

#include "base/net/net_error.hpp"

namespace rap::test {

namespace {

using net::Task;

enum class Side { a, b };

class FaultyStream final : public net::ByteStream {
 public:
  FaultyStream(net::ByteStreamPtr inner, std::shared_ptr<Faults> faults, Side side)
      : inner_(std::move(inner)), faults_(std::move(faults)), side_(side) {
    slot() = inner_.get();
  }
  ~FaultyStream() override { slot() = nullptr; }

  Task<std::size_t> read_some(std::span<std::uint8_t> into) override {
    return inner_->read_some(into);
  }

  Task<void> write_all(ByteView bytes) override {
    const auto faults = faults_;
    const bool forth = side_ == Side::a;
    std::size_t& count = forth ? faults->a_to_b : faults->b_to_a;
    const std::size_t most = forth ? faults->cut_a_to_b : faults->cut_b_to_a;
    const std::size_t n = std::min(bytes.size(), most - std::min(most, count));
    count += n;
    if (forth ? faults->lose_a_to_b : faults->lose_b_to_a) co_return;
    co_await inner_->write_all(bytes.first(n));
    if (n < bytes.size() || count == most) {
      faults->cut();
      throw net::NetError(Errc::unavailable, "write: cut");
    }
  }

  Task<void> shutdown() override { return inner_->shutdown(); }
  void close() override { inner_->close(); }

 private:
  net::ByteStream*& slot() { return side_ == Side::a ? faults_->a : faults_->b; }

  net::ByteStreamPtr inner_;
  std::shared_ptr<Faults> faults_;  // shared with the other end and the test
  Side side_;
};

}  // namespace

void Faults::cut() {
  is_cut = true;
  if (a != nullptr) a->close();
  if (b != nullptr) b->close();
}

FaultyPair make_faulty_pair(net::asio::any_io_executor executor, std::size_t capacity) {
  MemoryPair inner = make_memory_pair(executor, capacity);
  auto faults = std::make_shared<Faults>();
  FaultyPair out;
  out.a = std::make_unique<FaultyStream>(std::move(inner.a), faults, Side::a);
  out.b = std::make_unique<FaultyStream>(std::move(inner.b), faults, Side::b);
  out.faults = std::move(faults);
  return out;
}

}  // namespace rap::test
