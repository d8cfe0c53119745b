#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <thread>
#include <vector>

#include "base/net/connection_slots.hpp"
#include "tests/support/run_task.hpp"

namespace rap::net {
namespace {

using std::chrono::milliseconds;

struct Pair {
  std::unique_ptr<TcpStream> here;
  Fd there;
  bool ended() const {
    pollfd look{there.get(), POLLRDHUP, 0};
    return ::poll(&look, 1, 0) > 0;
  }
};

class ConnectionSlotsTest : public ::testing::Test {
 protected:
  boost::asio::io_context io;
  std::unique_ptr<Listener> listener =
      std::move(*Listener::bind(io.get_executor(), HostPort{"127.0.0.1", 0}));

  // A connection that comes from 127.0.0.`last`.
  Pair from(int last) {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(0x7f000000u + static_cast<unsigned>(last));
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    address.sin_addr.s_addr = htonl(0x7f000001u);
    address.sin_port = htons(listener->local_address().port);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return Pair{test::run_task(io, listener->accept()), std::move(socket)};
  }
};

TEST_F(ConnectionSlotsTest, ANetworkHasItsShareAndOthersTheRest) {
  ConnectionSlots slots({4, 2});
  const Pair a = from(1), b = from(1), c = from(1), d = from(2);
  auto first = slots.take(*a.here);
  auto second = slots.take(*b.here);
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(slots.take(*c.here)) << "none of them is slow yet";
  auto other = slots.take(*d.here);
  EXPECT_TRUE(other);
  first.reset();
  auto third = slots.take(*c.here);
  EXPECT_TRUE(third);
  EXPECT_EQ(slots.taken(), 3u);
  EXPECT_FALSE(b.ended());
}

TEST_F(ConnectionSlotsTest, ASlowHandshakeOfTheFullestNetworkGoesFirst) {
  ConnectionSlots slots({4, 3, milliseconds(30)});
  const Pair quiet = from(2), a = from(1), b = from(1), c = from(1), late = from(3), more = from(4);
  auto kept = slots.take(*quiet.here);  // the oldest, and alone in its network
  auto one = slots.take(*a.here);
  auto two = slots.take(*b.here);
  auto three = slots.take(*c.here);
  ASSERT_TRUE(kept && one && two && three);
  EXPECT_FALSE(slots.take(*late.here));
  one->established();  // the oldest of its network, but through
  std::this_thread::sleep_for(milliseconds(40));
  auto fourth = slots.take(*late.here);
  EXPECT_TRUE(fourth);
  EXPECT_TRUE(b.ended());
  EXPECT_FALSE(a.ended() || c.ended() || quiet.ended());
  two.reset();  // counted already
  EXPECT_EQ(slots.taken(), 4u);
  auto fifth = slots.take(*more.here);
  EXPECT_TRUE(fifth);
  EXPECT_TRUE(c.ended());
}

TEST_F(ConnectionSlotsTest, ANetworkAtItsShareEndsItsOwn) {
  ConnectionSlots slots({10, 1, milliseconds(0)});
  const Pair other = from(2), a = from(1), b = from(1);
  auto kept = slots.take(*other.here);
  auto one = slots.take(*a.here);
  auto two = slots.take(*b.here);
  EXPECT_TRUE(kept && one && two);
  EXPECT_TRUE(a.ended());
  EXPECT_FALSE(other.ended());
  EXPECT_EQ(slots.taken(), 2u);
}

TEST_F(ConnectionSlotsTest, TheLongestIdleOfTheFullestNetworkGoesWhenAllAreTaken) {
  ConnectionSlots slots({4, 3, milliseconds(0), milliseconds(30)});
  const Pair alone = from(2), a = from(1), b = from(1), c = from(1), late = from(3), more = from(4);
  std::vector<std::unique_ptr<ConnectionSlots::Slot>> held;
  std::string ended;
  for (const auto& [name, pair] : {std::pair{'q', &alone}, {'a', &a}, {'b', &b}, {'c', &c}}) {
    held.push_back(slots.take(*pair->here));
    ASSERT_TRUE(held.back());
    held.back()->established();
  }
  const auto idle = [&](int which, char name) {
    held[static_cast<std::size_t>(which)]->idle([&ended, name] { ended += name; });
  };
  EXPECT_FALSE(slots.take(*late.here)) << "all of them are used";
  idle(0, 'q');
  idle(3, 'c');
  idle(2, 'b');
  idle(1, 'a');
  held[3]->busy();
  idle(3, 'c');  // used meanwhile
  EXPECT_FALSE(slots.take(*late.here)) << "between two requests";
  std::this_thread::sleep_for(milliseconds(40));
  held[1]->busy();
  auto fifth = slots.take(*late.here);
  ASSERT_TRUE(fifth);
  fifth->established();
  EXPECT_EQ(ended, "b") << "not the oldest idler of all, who is alone in its network";
  held[2]->busy();  // has no place any more
  held[2].reset();
  EXPECT_EQ(slots.taken(), 4u);
  auto sixth = slots.take(*more.here);
  EXPECT_TRUE(sixth);
  EXPECT_EQ(ended, "bc");
}

TEST(NetworkOf, AnAddressOrTheHalfThatASiteHas) {
  EXPECT_EQ(network_of("192.0.2.7:4711"), "192.0.2.7");
  EXPECT_EQ(network_of("[::ffff:192.0.2.7]:4711"), "192.0.2.7");
  EXPECT_EQ(network_of("[2001:db8:1:2:3:4:5:6]:1"), "20010db800010002");
  EXPECT_EQ(network_of("[2001:db8:1:2::9]:2"), "20010db800010002");
  EXPECT_EQ(network_of(""), "");
}

}  // namespace
}  // namespace rap::net
