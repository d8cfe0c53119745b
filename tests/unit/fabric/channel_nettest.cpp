#include <gtest/gtest.h>

#include <cstring>

#include "base/crypto.hpp"
#include "base/net/timer.hpp"
#include "fabric/channel/hub.hpp"
#include "tests/support/mesh_rig.hpp"
#include "tests/support/run_task.hpp"
#include "tests/support/run_until.hpp"
#include "tests/support/test_ca.hpp"

namespace rap::fabric {
namespace {

using net::milliseconds;
using net::NetError;
using net::Task;
using routing::ChannelClass;

TEST(LinkState, OnlyWhatIsDrawnHappens) {
  EXPECT_EQ(after(LinkState::dial, LinkEvent::connected), LinkState::handshake);
  EXPECT_EQ(after(LinkState::handshake, LinkEvent::secured), LinkState::authorize);
  EXPECT_EQ(after(LinkState::authorize, LinkEvent::authorized), LinkState::active);
  EXPECT_EQ(after(LinkState::active, LinkEvent::drain), LinkState::draining);
  EXPECT_EQ(after(LinkState::draining, LinkEvent::revoked), LinkState::closed);
  // Nobody is active without having been authorized, and nothing comes back.
  EXPECT_FALSE(after(LinkState::handshake, LinkEvent::authorized));
  EXPECT_FALSE(after(LinkState::dial, LinkEvent::drain));
  for (const auto event : {LinkEvent::connected, LinkEvent::secured, LinkEvent::authorized,
                           LinkEvent::drain, LinkEvent::failed, LinkEvent::revoked}) {
    EXPECT_FALSE(after(LinkState::closed, event));
  }
}

TEST(LinkKind, IsSaidByAlpn) {
  for (const std::string& text : mesh_alpns()) {
    const auto kind = kind_of_alpn(text);
    ASSERT_TRUE(kind);
    EXPECT_EQ(alpn(*kind), text);
  }
  EXPECT_FALSE(kind_of_alpn("h2"));
  EXPECT_FALSE(kind_of_alpn(""));
}

// Nodes in one process, over loopback. Node 1 and 2 can be dialled, node 3 dials out only.
struct Node {
  unsigned number = 0;
  net::TlsIdentity identity;
  std::unique_ptr<net::Listener> listener;
  std::unique_ptr<ChannelHub> hub;
  std::vector<std::string> told;  // "up nod_..", "down 2 nod_.."
  int streams = 0;
  bool full = false;
};

class ChannelTest : public ::testing::Test {
 protected:
  boost::asio::io_context io;
  test::TestCa ca;
  RealClock clock;
  ChannelLimits limits;
  std::map<unsigned, Node> nodes;
  routing::DirectoryDoc doc;
  net::TaskGroup accepts{io.get_executor()};

  ~ChannelTest() override {
    accepts.cancel();
    for (auto& [number, node] : nodes) {
      node.listener->close();
      node.hub.reset();
    }
    io.restart();
    io.run_for(milliseconds(300));
  }

  net::TlsIdentity issue(const test::TestCa& by, unsigned number,
                         std::chrono::seconds until = std::chrono::hours(1)) const {
    test::CertificateWish wish;
    wish.subject_alt_name = "URI:" + routing::mesh_spiffe(test::kCluster, test::node_id(number));
    wish.until = until;
    return by.issue(wish);
  }
  static Sha256Digest key_of(const net::TlsIdentity& identity) {
    return net::parse_certificate_pem(identity.certificate_pem)->spki_sha256;
  }

  Task<void> accept(Node& node) {
    for (;;) {
      auto socket = co_await node.listener->accept();
      accepts.spawn("serve", node.hub->accept(std::move(socket)));
    }
  }
  // By authority: "refuse:1", "swallow:1"; anything else is echoed.
  Task<void> serve(Node& node, std::unique_ptr<IncomingConnect> incoming) {
    ++node.streams;
    const std::string what = incoming->request().authority;
    if (what == "refuse:1") {
      net::HttpHeaders headers;
      incoming->refuse(403, headers);
      co_return;
    }
    auto stream = incoming->accept();
    if (what == "swallow:1") {
      co_await net::sleep_for(milliseconds(60'000));
      co_return;
    }
    Bytes buffer(50'000);
    for (;;) {
      const std::size_t n = co_await stream->read_some(buffer);
      if (n == 0) break;
      co_await stream->write_all(ByteView(buffer).first(n));
    }
    co_await stream->shutdown();
  }

  void add(unsigned number) {
    Node& node = nodes[number];
    node.number = number;
    node.identity = issue(ca, number);
    const net::HostPort any{"127.0.0.1", 0};
    node.listener = std::move(net::Listener::bind(io.get_executor(), any).value());
    HubEvents events;
    events.admit = [&node](const std::string&) { return !node.full; };
    events.up = [&node](const std::string& id, DialledBy) { node.told.push_back("up " + id); };
    events.down = [&node](const std::string& id, LinkLost why) {
      node.told.push_back("down " + std::to_string(static_cast<int>(why)) + " " + id);
    };
    events.stream = [this, &node](const std::string&, ChannelClass,
                                  std::unique_ptr<IncomingConnect> incoming) {
      return serve(node, std::move(incoming));
    };
    node.hub = std::make_unique<ChannelHub>(io.get_executor(), clock, std::move(events), limits);
    ASSERT_TRUE(node.hub->set_identity(node.identity, ca.pem()));
    accepts.spawn("accept", accept(node));
    routing::NodeEntry entry = test::node(number, mask(routing::Role::service));
    entry.keys = {key_of(node.identity)};
    entry.endpoints.clear();
    if (number != 3) entry.endpoints.push_back(node.listener->local_address().text());
    doc.nodes.push_back(entry);
  }
  void publish() {
    for (auto& [number, node] : nodes) {
      routing::DirectoryDoc own = doc;
      own.cluster_id = test::kCluster;
      own.node_id = test::node_id(number);
      own.version = 7;
      own.issued_at = clock.now();
      own.expires_at = own.issued_at + std::chrono::hours(1);
      if (std::none_of(own.nodes.begin(), own.nodes.end(),
                       [&](const auto& n) { return n.node_id == own.node_id; })) {
        continue;  // it was told nothing more
      }
      auto directory = routing::Directory::compile(std::move(own));
      ASSERT_TRUE(directory) << directory.error().text();
      node.hub->set_directory(std::make_shared<routing::Directory>(std::move(*directory)));
    }
  }
  void start(std::initializer_list<unsigned> numbers) {
    for (const unsigned number : numbers) add(number);
    publish();
  }
  Status dial(unsigned from, unsigned to) {
    return test::run_task(io, nodes[from].hub->dial(test::node_id(to)));
  }
  Result<ConnectAnswer> open(unsigned from, unsigned to, const std::string& what = "echo:1",
                             ChannelClass c = ChannelClass::interactive) {
    ConnectRequest request;
    request.authority = what;
    return test::run_task(io, nodes[from].hub->open(test::node_id(to), c, std::move(request)));
  }
  void settle(int ms = 50) { test::run_task(io, net::sleep_for(milliseconds(ms))); }
  std::uint64_t refused(unsigned number, const std::string& reason) {
    const auto& all = nodes[number].hub->refusals();
    const auto at = all.find(reason);
    return at == all.end() ? 0 : at->second;
  }
};

Task<Bytes> echo(net::ByteStream& stream, Bytes sent) {
  co_await stream.write_all(sent);
  Bytes got(sent.size());
  const bool all = co_await net::read_exact(stream, got);
  co_return all ? got : Bytes();
}

TEST_F(ChannelTest, CarriesStreamsOfBothClassesOverConnectionsOfTheirOwn) {
  start({1, 2});
  ASSERT_TRUE(dial(1, 2));
  auto interactive = open(1, 2);
  auto bulk = open(1, 2, "echo:1", ChannelClass::bulk);
  ASSERT_TRUE(interactive && interactive->stream);
  ASSERT_TRUE(bulk && bulk->stream);
  EXPECT_EQ(nodes[1].hub->links().size(), 2u);
  const Bytes sent = random_bytes(50'000);
  EXPECT_EQ(test::run_task(io, echo(*interactive->stream, sent)), sent);
  EXPECT_EQ(test::run_task(io, echo(*bulk->stream, sent)), sent);
  EXPECT_EQ(nodes[2].told, std::vector<std::string>{"up " + test::node_id(1)});
}

TEST_F(ChannelTest, WhoeverOnlyDialsOutIsReachedOverWhatItDialled) {
  start({1, 3});
  EXPECT_FALSE(open(1, 3));  // it has not dialled yet
  ASSERT_TRUE(dial(3, 1));
  ASSERT_TRUE(test::run_until(io, [&] { return !nodes[1].hub->links().empty(); }));
  auto there = open(1, 3);
  auto bulk = open(1, 3, "echo:1", ChannelClass::bulk);  // asks it to dial
  auto back = open(3, 1);
  ASSERT_TRUE(there && there->stream);
  ASSERT_TRUE(bulk && bulk->stream) << bulk.error().text();
  ASSERT_TRUE(back && back->stream);
  const Bytes sent = random_bytes(10'000);
  EXPECT_EQ(test::run_task(io, echo(*there->stream, sent)), sent);
  EXPECT_EQ(test::run_task(io, echo(*bulk->stream, sent)), sent);
  EXPECT_EQ(test::run_task(io, echo(*back->stream, sent)), sent);
  EXPECT_EQ(nodes[3].streams, 2);
}

TEST_F(ChannelTest, RefusesWhoIsNotInTheDirectory) {
  const test::TestCa other("other CA");
  struct Case {
    const char* name;
    net::TlsIdentity identity;
    const char* counted;
  };
  const Case cases[] = {
      {"another cluster's", issue(other, 1), "certificate"},
      {"expired", issue(ca, 1, std::chrono::seconds(-10)), "certificate"},
      {"no such node", issue(ca, 9), "unknown-peer"},
      {"another key", issue(ca, 1), "unknown-peer"},
  };
  start({1, 2});
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto before = refused(2, c.counted);
    ASSERT_TRUE(nodes[1].hub->set_identity(c.identity, ca.pem()));
    EXPECT_FALSE(dial(1, 2));
    test::run_until(io, [&] { return refused(2, c.counted) > before; });
    EXPECT_EQ(refused(2, c.counted), before + 1);
    EXPECT_TRUE(nodes[2].hub->links().empty());
    EXPECT_TRUE(nodes[1].hub->links().empty());
  }
  EXPECT_TRUE(nodes[2].told.empty());
}

TEST_F(ChannelTest, DialsNobodyButWhomItMeant) {
  start({1, 2});
  ASSERT_TRUE(nodes[2].hub->set_identity(issue(ca, 5), ca.pem()));
  const Status other = dial(1, 2);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::mismatch);
  ASSERT_TRUE(nodes[2].hub->set_identity(issue(ca, 2), ca.pem()));  // right name, another key
  EXPECT_FALSE(dial(1, 2));
  EXPECT_EQ(refused(1, "unknown-peer"), 1u);
}

Task<Errc> read_error(net::ByteStream& stream) {
  std::uint8_t byte = 0;
  try {
    co_await stream.read_some(std::span(&byte, 1));
  } catch (const NetError& error) {
    co_return error.code();
  }
  co_return Errc::internal;
}

TEST_F(ChannelTest, ARevokedPeerIsCutWithTheDirectoryThatDoesNotListIt) {
  start({1, 2});
  ASSERT_TRUE(dial(1, 2));
  auto answer = open(1, 2);
  ASSERT_TRUE(answer && answer->stream);
  doc.nodes.erase(doc.nodes.begin());  // node 1
  publish();
  EXPECT_TRUE(nodes[2].hub->links().empty());
  EXPECT_EQ(refused(2, "revoked"), 1u);
  EXPECT_EQ(nodes[2].told.back(), "down 2 " + test::node_id(1));
  EXPECT_EQ(test::run_task(io, read_error(*answer->stream)), Errc::unavailable);
  EXPECT_FALSE(dial(1, 2));
}

TEST_F(ChannelTest, ANewCertificateTakesOverAndStreamsOfTheOldOneGoOn) {
  start({1, 2});
  ASSERT_TRUE(dial(1, 2));
  auto answer = open(1, 2);
  ASSERT_TRUE(answer && answer->stream);
  const net::TlsIdentity next = issue(ca, 1);
  doc.nodes[0].keys = {key_of(nodes[1].identity), key_of(next)};
  publish();
  ASSERT_TRUE(nodes[1].hub->set_identity(next, ca.pem()));
  test::run_until(io, [&] {  // the clock of the hub ticks once a second
    const auto now = nodes[1].hub->links();
    return now.size() == 2 && now[0].state == LinkState::draining &&
           now[1].state == LinkState::active;
  });
  const auto links = nodes[1].hub->links();
  ASSERT_EQ(links.size(), 2u);
  EXPECT_EQ(links[0].state, LinkState::draining);
  EXPECT_EQ(links[1].state, LinkState::active);
  const Bytes sent = random_bytes(10'000);
  EXPECT_EQ(test::run_task(io, echo(*answer->stream, sent)), sent);
  answer->stream.reset();
  test::run_until(io, [&] { return nodes[1].hub->links().size() == 1; });
  EXPECT_EQ(nodes[1].hub->links().size(), 1u);
  EXPECT_EQ(nodes[1].told.size(), 1u);  // never down
}

TEST_F(ChannelTest, SaysGoodbyeAndLetsStreamsEnd) {
  start({1, 2});
  ASSERT_TRUE(dial(1, 2));
  auto answer = open(1, 2);
  ASSERT_TRUE(answer && answer->stream);
  nodes[2].hub->drain(test::node_id(1));
  settle();
  const Bytes sent = random_bytes(10'000);
  EXPECT_EQ(test::run_task(io, echo(*answer->stream, sent)), sent);
  answer->stream.reset();
  EXPECT_TRUE(test::run_until(io, [&] { return nodes[1].hub->links().empty(); }));
  EXPECT_EQ(nodes[1].told.back(), "down 1 " + test::node_id(2));  // graceful
}

TEST_F(ChannelTest, TellsThatItIsFull) {
  start({1, 2});
  nodes[2].full = true;
  const Status status = dial(1, 2);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::exhausted);
  EXPECT_EQ(refused(2, "full"), 1u);
  EXPECT_TRUE(nodes[1].told.empty());
}

TEST_F(ChannelTest, MeasuresRoundTrips) {
  limits.ping_every = milliseconds(50);
  start({1, 2});
  ASSERT_TRUE(dial(1, 2));
  test::run_until(io, [&] {
    for (const LinkFacts& facts : nodes[1].hub->links()) {
      if (facts.rtt_ms <= 0.0f) return false;
    }
    return true;
  });
  for (const LinkFacts& facts : nodes[1].hub->links()) EXPECT_GT(facts.rtt_ms, 0.0f);
}

TEST_F(ChannelTest, BoundsNewStreamsOfAPeer) {
  limits.streams_burst = 20;
  limits.streams_per_s = 0.1;
  start({1, 2});
  ASSERT_TRUE(dial(1, 2));
  for (int i = 0; i < 30; ++i) {
    const auto answer = open(1, 2, "refuse:1");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, i < 20 ? 403u : 429u) << i;
  }
  EXPECT_EQ(nodes[2].streams, 20);
  EXPECT_EQ(refused(2, "stream-rate"), 10u);
}

Task<void> send_forever(std::shared_ptr<H2Stream> stream) {
  const Bytes piece(50'000, 'x');
  for (;;) co_await stream->write_all(piece);
}

TEST_F(ChannelTest, SlowReadersDoNotStopOthers) {
  limits.interactive_window = 4 * 256 * 1024;
  limits.stuck_after = milliseconds(300);
  limits.ping_every = milliseconds(100);
  start({1, 2});
  ASSERT_TRUE(dial(1, 2));
  net::TaskGroup senders(io.get_executor());
  for (int i = 0; i < 6; ++i) {
    auto answer = open(1, 2, "swallow:1");
    ASSERT_TRUE(answer && answer->stream);
    senders.spawn("send", send_forever(std::shared_ptr<H2Stream>(std::move(answer->stream))));
  }
  auto answer = open(1, 2);
  ASSERT_TRUE(answer && answer->stream);
  settle(700);
  const Bytes sent = random_bytes(100'000);
  EXPECT_EQ(test::run_task(io, echo(*answer->stream, sent)), sent);
  test::run_task(io, senders.drain(milliseconds(0)));
}

// --- strangers ------------------------------------------------------------------------------

Task<void> say(std::uint16_t port, std::string bytes, milliseconds stays) {
  auto socket = co_await net::connect_tcp("127.0.0.1", port, milliseconds(1'000));
  try {
    if (!bytes.empty()) co_await socket->write_all(as_bytes(bytes));
  } catch (const NetError&) {
    // It hung up: its right.
  }
  co_await net::sleep_for(stays);
}

TEST_F(ChannelTest, StrangersGetNothingAndPeersGoOn) {
  limits.handshake = milliseconds(300);
  start({1, 2});
  ASSERT_TRUE(dial(1, 2));
  auto answer = open(1, 2);
  ASSERT_TRUE(answer && answer->stream);
  const auto port = nodes[2].listener->local_address().port;
  const std::string cases[] = {
      "",                                          // half open: says nothing
      std::string("\x16\x03\x01\x02\x00\x01", 6),  // slow loris: the beginning of a hello
      std::string(5'000, '\0'),                    // garbage before TLS
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",          // without TLS
      "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
  };
  for (const std::string& bytes : cases) test::run_task(io, say(port, bytes, milliseconds(400)));
  test::run_until(io, [&] { return refused(2, "handshake") == std::size(cases); });
  EXPECT_EQ(refused(2, "handshake"), std::size(cases));
  EXPECT_EQ(nodes[2].hub->links().size(), 1u);
  const Bytes sent = random_bytes(10'000);
  EXPECT_EQ(test::run_task(io, echo(*answer->stream, sent)), sent);
}

}  // namespace
}  // namespace rap::fabric
