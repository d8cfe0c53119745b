// 1,000 transports die at random bytes under traffic both ways: nothing is lost, nothing doubled.
#include <random>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "tests/unit/fabric/resume/rig.hpp"

namespace rap::resume {
namespace {

constexpr std::size_t kKills = 1'000;

std::uint8_t byte_at(std::uint64_t offset, std::uint64_t seed) {
  const std::uint64_t x = (offset + seed) * 0x9e3779b97f4a7c15u;
  return static_cast<std::uint8_t>(x >> 56);
}

struct Direction {
  std::uint64_t seed = 0;
  std::uint64_t written = 0;
  std::uint64_t read = 0;
  std::uint64_t wrong = 0;
  bool ended = false;
};

class ResumeKills : public ResumeRig {
 protected:
  std::mt19937 random{4711};

  // Each way but the first replaces one that died.
  bool enough() const { return dialled > static_cast<int>(kKills) + 10; }
  std::size_t kills() const {
    return static_cast<std::size_t>(
        std::count_if(faults.begin(), faults.end(), [](const auto& f) { return f->is_cut; }));
  }

  std::size_t life() {
    switch (random() % 5) {
      case 0:
        return random() % 200;  // in the opening, or soon after
      case 1:
        return random() % 5'000;
      default:
        return random() % 150'000;
    }
  }

  Task<void> send(net::ByteStream& stream, Direction& direction, std::size_t most) {
    Bytes piece;
    while (!enough()) {
      piece.resize(1 + random() % most);
      for (auto& byte : piece) byte = byte_at(direction.written++, direction.seed);
      co_await stream.write_all(piece);
      if (random() % 4 == 0) co_await net::asio::post(io, net::asio::use_awaitable);
    }
    co_await stream.shutdown();
  }

  Task<void> receive(net::ByteStream& stream, Direction& direction, std::size_t most) {
    Bytes piece(most);
    for (;;) {
      const std::size_t n = co_await stream.read_some(std::span(piece).first(1 + random() % most));
      if (n == 0) break;
      for (std::size_t i = 0; i < n; ++i) {
        if (piece[i] != byte_at(direction.read++, direction.seed)) ++direction.wrong;
      }
      if (random() % 8 == 0) co_await net::asio::post(io, net::asio::use_awaitable);
    }
    direction.ended = true;
  }

  void run(std::size_t piece_most) {
    limits.window = 64 * 1024;
    limits.retry_first = limits.retry_max = milliseconds(0);
    start();
    auto a = open();
    auto b = std::move(accepted[0]);
    prepare = [this](test::Faults& f) {
      if (enough()) return;
      f.cut_a_to_b = life();
      f.cut_b_to_a = life();
    };
    Direction forth{1};
    Direction back{1'000'003};
    group.spawn("send", send(*a, forth, piece_most));
    group.spawn("send", send(*b, back, piece_most / 2 + 1));
    group.spawn("receive", receive(*b, forth, piece_most));
    group.spawn("receive", receive(*a, back, piece_most * 2));
    faults[0]->cut();
    until([&] { return (forth.ended && back.ended) || HasFailure(); });
    EXPECT_GE(kills(), kKills);
    for (const Direction& direction : {forth, back}) {
      EXPECT_TRUE(direction.ended);
      EXPECT_EQ(direction.wrong, 0u);
      EXPECT_EQ(direction.read, direction.written);
      EXPECT_GT(direction.read, kKills * 100);
    }
    EXPECT_GT(a->info().resent_bytes + b->info().resent_bytes, 0u);
    until([&] { return registry->counts().streams == 0; });
    RecordProperty("bytes", std::to_string(forth.read + back.read));
  }
};

TEST_F(ResumeKills, ThousandUnderBulk) {
  run(70'000);
}

TEST_F(ResumeKills, ThousandUnderSmallPieces) {
  run(300);
}

}  // namespace
}  // namespace rap::resume
