// What dies under a session, and that nobody above it notices more than a pause.
#include <gtest/gtest.h>

#include <cstring>

#include "base/net/timer.hpp"
#include "tests/support/awake.hpp"
#include "tests/support/mesh_exchange.hpp"
#include "tests/support/mesh_world.hpp"
#include "tests/support/run_task.hpp"
#include "tests/support/run_until.hpp"

namespace rap::fabric {
namespace {

using net::milliseconds;
using net::Task;
using routing::Role;

constexpr routing::RoleMask kEntry = mask(Role::entry_node);
constexpr routing::RoleMask kRelay = mask(Role::relay_node);
constexpr routing::RoleMask kService = mask(Role::service);

// Entries 1 and 2, relays 3 and 4, the service on 5, which only the relays reach.
class FailoverTest : public ::testing::Test {
 protected:
  test::MeshWorld world;
  std::vector<SessionProgress> progress;

  void SetUp() override {
    world.add(1, kEntry);
    world.add(2, kEntry);
    world.add(3, kRelay);
    world.add(4, kRelay);
    world.add(5, kService, test::echo_sessions());
    world.start();
  }

  net::ByteStreamPtr open() {
    MeshSessionOptions options = world.session();
    options.progress = [this](SessionProgress what, milliseconds) { progress.push_back(what); };
    auto stream = test::run_task(
        world.io, open_mesh_session(std::move(options), world.clock, world.resume_clock));
    EXPECT_TRUE(stream) << stream.error().text();
    return stream ? std::move(*stream) : nullptr;
  }

  test::MeshNode* in_use(std::initializer_list<unsigned> numbers) {
    for (const unsigned number : numbers) {
      test::MeshNode& node = world.node(number);
      if (node.server().counts().open > 0) return &node;
    }
    return nullptr;
  }

  Task<void> revive(test::MeshNode* node, bool& dead) {
    co_await net::sleep_for(milliseconds(100));
    node->start();
    dead = false;
  }

  static bool holds(const Bytes& bytes, std::string_view text) {
    return !bytes.empty() &&
           ::memmem(bytes.data(), bytes.size(), text.data(), text.size()) != nullptr;
  }
};

TEST_F(FailoverTest, NoRelaySeesThePlaintext) {
  for (const unsigned relay : {3, 4}) world.node(relay).tap->keep = true;
  auto stream = open();
  ASSERT_TRUE(stream);
  constexpr std::size_t kBytes = 2 << 20;
  const auto done = test::run_task(world.io, test::exchange(*stream, kBytes, {}));
  EXPECT_TRUE(done.same) << done.sent << " " << done.received;
  ASSERT_EQ(world.node(3).server().counts().relayed + world.node(4).server().counts().relayed, 1u);
  std::size_t in_streams = 0;
  std::size_t in_sockets = 0;
  for (const unsigned relay : {3, 4}) {
    const test::MeshTap& tap = *world.node(relay).tap;
    for (const Bytes* carried : {&tap.sockets, &tap.streams}) {
      EXPECT_FALSE(holds(*carried, test::kPlaintextMark));
      // Of the session lease and its line neither.
      EXPECT_FALSE(holds(*carried, "\"lease\""));
      EXPECT_FALSE(holds(*carried, "{\"ok\":true}"));
    }
    in_streams += tap.streams.size();
    in_sockets += tap.sockets.size();
  }
  // It did pass there: both ways, and in and out of the sockets.
  EXPECT_GT(in_streams, 2 * kBytes);
  EXPECT_GT(in_sockets, 4 * kBytes);
}

TEST_F(FailoverTest, GoesOnWhenRelaysDie) {
  auto stream = open();
  ASSERT_TRUE(stream);
  net::TaskGroup tasks(world.io.get_executor());
  int killed = 0;
  bool dead = false;  // one relay is always left
  std::size_t next = 64 * 1024;
  const auto kill_now_and_then = [&](std::size_t received) {
    if (killed == 5 && received >= next) return test::Then::enough;
    test::MeshNode* relay = in_use({3, 4});
    if (received < next || dead || relay == nullptr) return test::Then::go_on;
    next = received + 128 * 1024;
    dead = true;
    ++killed;
    relay->kill();
    tasks.spawn("revive", revive(relay, dead));
    return test::Then::go_on;
  };
  const auto done =
      test::run_task(world.io, test::exchange(*stream, std::size_t{1} << 40, kill_now_and_then));
  EXPECT_TRUE(done.same) << done.sent << " " << done.received;
  EXPECT_EQ(killed, 5);
  EXPECT_EQ(world.node(5).service_end().counts().opened, 1u);
  EXPECT_GE(world.node(5).service_end().counts().resumed, 5u);
  test::run_task(world.io, tasks.drain(milliseconds(1000)));
}

TEST_F(FailoverTest, GoesOnOverAnotherEntry) {
  auto stream = open();
  ASSERT_TRUE(stream);
  test::MeshNode* first = in_use({1, 2});
  ASSERT_EQ(first, &world.node(1));
  bool dead = false;
  const auto kill_once = [&](std::size_t received) {
    if (received >= 512 * 1024 && !dead) {
      dead = true;
      first->kill();
    }
    return test::Then::go_on;
  };
  const auto done = test::run_task(world.io, test::exchange(*stream, 2 << 20, kill_once));
  EXPECT_TRUE(done.same) << done.sent << " " << done.received;
  EXPECT_TRUE(dead);
  EXPECT_EQ(world.node(2).server().counts().entered, 1u);
}

TEST_F(FailoverTest, ARelayThatOnlyHearsIsLeftAndThePauseIsTold) {
  auto stream = open();
  ASSERT_TRUE(stream);
  test::MeshNode* relay = in_use({3, 4});
  ASSERT_NE(relay, nullptr);
  const auto lose = [&](std::size_t received) {
    if (received >= 256 * 1024) relay->tap->lose_sent = true;
    return test::Then::go_on;
  };
  const test::Awake awake;
  const auto done = test::run_task(world.io, test::exchange(*stream, 1 << 20, lose));
  EXPECT_TRUE(done.same) << done.sent << " " << done.received;
  EXPECT_LT(awake.elapsed(), std::chrono::seconds(8));
  // The entry may try the silent relay once more before it takes the other: 1.6 s, or nothing told.
  test::run_until(world.io, [&] { return progress.size() != 1; });
  if (!progress.empty()) {
    const std::vector<SessionProgress> both{SessionProgress::reconnecting,
                                            SessionProgress::connected};
    EXPECT_EQ(progress, both);
  }
}

TEST_F(FailoverTest, SaysSoWhenAPauseIsLong) {
  auto stream = open();
  ASSERT_TRUE(stream);
  const auto wait_then_revive = [this]() -> Task<void> {
    for (const unsigned relay : {3, 4}) world.node(relay).kill();
    while (progress.empty()) co_await net::sleep_for(milliseconds(10));  // run_task has a deadline
    EXPECT_EQ(progress, std::vector<SessionProgress>{SessionProgress::reconnecting});
    for (const unsigned relay : {3, 4}) world.node(relay).start();
  };
  test::run_task(world.io, wait_then_revive());
  const auto done = test::run_task(world.io, test::exchange(*stream, 100'000, {}));
  EXPECT_TRUE(done.same);
  test::run_until(world.io, [&] { return progress.size() == 2; });
  const std::vector<SessionProgress> both{SessionProgress::reconnecting,
                                          SessionProgress::connected};
  EXPECT_EQ(progress, both);
}

TEST_F(FailoverTest, TheFirstWayIsLookedForToo) {
  world.node(1).kill();  // the client's first entry
  world.node(3).kill();
  auto stream = open();
  ASSERT_TRUE(stream);
  const auto done = test::run_task(world.io, test::exchange(*stream, 100'000, {}));
  EXPECT_TRUE(done.same);
}

}  // namespace
}  // namespace rap::fabric
