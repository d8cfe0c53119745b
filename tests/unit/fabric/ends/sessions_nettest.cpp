// What ends sessions and what does not; traces; renewal; places.
#include <gtest/gtest.h>

#include "base/net/timer.hpp"
#include "fabric/ends/request.hpp"
#include "tests/support/mesh_exchange.hpp"
#include "tests/support/mesh_world.hpp"
#include "tests/support/run_task.hpp"
#include "tests/support/run_until.hpp"

namespace rap::fabric {
namespace {

using net::milliseconds;
using net::Task;
using routing::Role;

// Entry 1, relay 2, the service on 3.
class SessionsTest : public ::testing::Test {
 protected:
  test::MeshWorld world;

  void SetUp() override {
    world.services.pending_max = 3;
    world.services.pending_of_service_max = 2;
    world.services.handshake_timeout = milliseconds(2'000);
    world.add(1, mask(Role::entry_node));
    world.add(2, mask(Role::relay_node));
    world.add(3, mask(Role::service), test::echo_sessions());
    world.start();
  }

  ServiceEnd& end() { return world.node(3).service_end(); }
  net::ByteStreamPtr open(MeshSessionOptions options) {
    auto stream = test::run_task(
        world.io, open_mesh_session(std::move(options), world.clock, world.resume_clock));
    EXPECT_TRUE(stream) << stream.error().text();
    return stream ? std::move(*stream) : nullptr;
  }
  void replace_way() {
    world.node(2).kill();
    test::run_task(world.io, net::sleep_for(milliseconds(50)));
    world.node(2).start();
  }
  // Why reading fails.
  Errc lost(net::ByteStream& stream) {
    std::uint8_t byte = 0;
    try {
      (void)test::run_task(world.io, stream.read_some(std::span(&byte, 1)));
    } catch (const net::NetError& error) {
      return error.code();
    }
    return Errc::internal;
  }
  // A connection of the client to the entry, as a program of its own would make it.
  static Task<std::shared_ptr<H2Connection>> to_entry(test::MeshWorld& world) {
    auto executor = co_await net::asio::this_coro::executor;
    net::TlsClientOptions options;
    options.trust = net::TrustCa{world.ca.pem()};
    options.identity = world.client;
    options.alpn.emplace_back("h2");
    auto context = net::TlsClientContext::create(options);
    const auto address = net::parse_host_port(world.node(1).entry_address());
    auto tcp = co_await net::connect_tcp(address->host, address->port, milliseconds(2'000));
    net::ExpectedPeer peer = net::SpiffeId{entry_spiffe(test::kCluster)};
    auto secured = co_await net::connect_tls(std::move(tcp), std::move(*context), std::move(peer),
                                             milliseconds(2'000));
    H2Limits limits;
    auto connection = H2Connection::make_client(executor, std::move(secured), limits);
    connection->start();
    co_return connection;
  }
  ConnectAnswer ask(const MeshRequest& request) {
    auto connection = test::run_task(world.io, to_entry(world));
    return test::run_task(world.io, connection->connect(to_connect_request(request)));
  }
  MeshRequest request() {
    MeshRequest out;
    out.target = {MeshTarget::Kind::service, world.service};
    out.carry = world.mint(world.carry_claims());
    return out;
  }
};

TEST_F(SessionsTest, AClosedSessionOrOrganizationClosesItsStreams) {
  auto stream = open(world.session());
  ASSERT_TRUE(stream);
  end().close_session(test::numbered("ses_", 9));
  const auto done = test::run_task(world.io, test::exchange(*stream, 10'000, {}));
  EXPECT_TRUE(done.same);

  stream = open(world.session());
  EXPECT_EQ(end().counts().streams, 1u);
  end().close_session(world.carry_claims().session_id);
  EXPECT_EQ(lost(*stream), Errc::unavailable);
  stream = open(world.session());
  end().close_organization(world.organization);
  EXPECT_EQ(lost(*stream), Errc::unavailable);
  EXPECT_EQ(end().counts().streams, 0u);
}

TEST_F(SessionsTest, ACertificateIsReplacedUnderAStreamAndAServiceRemoved) {
  auto stream = open(world.session());
  ASSERT_TRUE(stream);
  ASSERT_TRUE(end().set_service({world.service, world.organization, world.service_identity()}));
  replace_way();
  const auto done = test::run_task(world.io, test::exchange(*stream, 100'000, {}));
  EXPECT_TRUE(done.same);
  EXPECT_EQ(end().counts().resumed, 1u);

  // Not of this service, or of another organization: nothing changes.
  test::CertificateWish wish;
  wish.subject_alt_name = "URI:" + service_spiffe(test::kCluster, test::numbered("svc_", 2));
  EXPECT_EQ(
      end().set_service({world.service, world.organization, world.ca.issue(wish)}).error().code,
      Errc::mismatch);
  EXPECT_EQ(
      end().set_service({world.service, test::org_id(2), world.service_identity()}).error().code,
      Errc::mismatch);
  EXPECT_EQ(end().admits(world.service, test::org_id(2)).error().code, Errc::mismatch);

  stream = open(world.session());
  end().remove_service(world.service);
  EXPECT_EQ(lost(*stream), Errc::unavailable);
  EXPECT_EQ(end().admits(world.service, world.organization).error().code, Errc::not_found);
}

TEST_F(SessionsTest, ATraceShowsEachHopAndEndsInEcho) {
  CarryClaims claims = world.carry_claims();
  claims.verb = CarryVerb::trace;
  claims.session_id.clear();
  MeshRequest asked = request();
  asked.carry = world.mint(claims);
  asked.trace = true;
  ConnectAnswer answer = ask(asked);
  ASSERT_EQ(answer.status, 200u);
  const auto header = answer.headers.find(kHopsHeader);
  ASSERT_TRUE(header);
  const auto hops = parse_hops(*header);
  ASSERT_TRUE(hops) << *header;
  ASSERT_EQ(hops->size(), 3u);
  for (const unsigned n : {1, 2, 3}) EXPECT_EQ((*hops)[n - 1].node, test::node_id(n));
  EXPECT_GE((*hops)[0].setup_ms, (*hops)[1].setup_ms);
  EXPECT_GE((*hops)[1].setup_ms, (*hops)[2].setup_ms);
  const auto done = test::run_task(world.io, test::exchange(*answer.stream, 300'000, {}));
  EXPECT_TRUE(done.same);

  // To a node itself, with the verb; and not without it.
  claims.target = {MeshTarget::Kind::node, test::node_id(2)};
  asked.target = claims.target;
  asked.carry = world.mint(claims);
  answer = ask(asked);
  EXPECT_EQ(answer.status, 200u);
  MeshRequest plain = request();
  plain.trace = true;
  EXPECT_EQ(ask(plain).status, 403u);
  // A person's stream is told no hops.
  answer = ask(request());
  EXPECT_EQ(answer.status, 200u);
  EXPECT_FALSE(answer.headers.find(kHopsHeader));
}

TEST_F(SessionsTest, TheCarryLeaseIsRenewedBeforeAWayNeedsIt) {
  CarryClaims claims = world.carry_claims();
  claims.expires_at = claims.issued_at + 60;
  MeshSessionOptions options = world.session();
  options.carry = {world.mint(claims), from_unix_seconds(claims.expires_at)};
  int asked = 0;
  RenewCarry renew = [&]() -> Task<Result<CarryGrant>> {
    ++asked;
    const CarryClaims next = world.carry_claims();
    co_return CarryGrant{world.mint(next), from_unix_seconds(next.expires_at)};
  };
  options.renew = renew;
  auto stream = open(std::move(options));
  ASSERT_TRUE(stream);
  EXPECT_EQ(asked, 0);
  world.clock.by = std::chrono::seconds(600);
  replace_way();
  const auto done = test::run_task(world.io, test::exchange(*stream, 10'000, {}));
  EXPECT_TRUE(done.same);
  EXPECT_EQ(asked, 1);
}

TEST_F(SessionsTest, WhoOnlyOpensTakesNotAllPlaces) {
  test::CertificateWish wish;
  const std::string other = test::numbered("svc_", 2);
  wish.subject_alt_name = "URI:" + service_spiffe(test::kCluster, other);
  ASSERT_TRUE(end().set_service({other, test::org_id(2), world.ca.issue(wish)}));
  // Two transports that say nothing are as many as one service may have.
  std::vector<ConnectAnswer> silent;
  for (int i = 0; i < 2; ++i) {
    silent.push_back(ask(request()));
    EXPECT_EQ(silent.back().status, 200u);
  }
  EXPECT_EQ(end().admits(world.service, world.organization).error().code, Errc::exhausted);
  EXPECT_EQ(ask(request()).status, 503u);
  EXPECT_TRUE(end().admits(other, test::org_id(2)));
  EXPECT_EQ(end().counts().pending, 2u);
  // They lose their places after the handshake's time.
  EXPECT_TRUE(test::run_until(world.io, [&] { return end().counts().pending == 0; }));
  EXPECT_TRUE(open(world.session()));
}

TEST_F(SessionsTest, GarbageInsideEndsThatTransportAlone) {
  auto stream = open(world.session());
  ASSERT_TRUE(stream);
  for (const std::string& garbage :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(20'000, '\x16'), std::string(1, '\0')}) {
    ConnectAnswer answer = ask(request());
    ASSERT_EQ(answer.status, 200u);
    const auto send_and_wait = [](net::ByteStream& to, const std::string& text) -> Task<void> {
      co_await to.write_all(as_bytes(text));
      co_await to.shutdown();
      Bytes buffer(4096);
      try {
        for (;;) {
          const std::size_t n = co_await to.read_some(buffer);
          if (n == 0) co_return;
        }
      } catch (const net::NetError&) {
      }
    };
    test::run_task(world.io, send_and_wait(*answer.stream, garbage));
  }
  const auto counts = end().counts();
  std::uint64_t refused = 0;
  for (const auto& [reason, count] : counts.refused) refused += count;
  EXPECT_EQ(refused, 3u);
  EXPECT_EQ(counts.pending, 0u);
  const auto done = test::run_task(world.io, test::exchange(*stream, 10'000, {}));
  EXPECT_TRUE(done.same);
}

TEST_F(SessionsTest, NobodyResumesAnothersStream) {
  auto stream = open(world.session());
  ASSERT_TRUE(stream);
  const auto before = end().counts();
  EXPECT_EQ(before.opened, 1u);
  // Another client of the same session and organization gets a stream of its own.
  MeshSessionOptions options = world.session();
  options.identity = net::make_self_signed_identity("colleague", std::chrono::hours(1));
  const auto digest = net::parse_certificate_pem(options.identity.certificate_pem)->sha256;
  CarryClaims carry = world.carry_claims();
  carry.client_certificate_sha256 = digest;
  LeaseClaims lease = world.session_claims();
  lease.client_certificate_sha256 = digest;
  options.carry.lease = world.mint(carry);
  options.lease = world.mint(lease);
  auto other = open(std::move(options));
  ASSERT_TRUE(other);
  EXPECT_EQ(end().counts().streams, 2u);
  const auto done = test::run_task(world.io, test::exchange(*other, 10'000, {}));
  EXPECT_TRUE(done.same);
  EXPECT_EQ(end().counts().streams, 1u);
}

}  // namespace
}  // namespace rap::fabric
