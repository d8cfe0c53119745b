#include "base/net/tls.hpp"

#include <gtest/gtest.h>

#include "base/net/task_group.hpp"
#include "tests/support/memory_stream.hpp"
#include "tests/support/run_task.hpp"
#include "tests/support/test_ca.hpp"

namespace rap::net {
namespace {

using test::CertificateWish;
using test::TestCa;

constexpr milliseconds kTimeout{5000};

struct Outcome {
  std::optional<Error> client_error;
  std::optional<Error> server_error;
  std::unique_ptr<TlsStream> client;
  std::unique_ptr<TlsStream> server;
};

Task<void> accept_into(ByteStreamPtr transport, TlsServerContext context, Outcome& out) {
  try {
    out.server = co_await accept_tls(std::move(transport), std::move(context), kTimeout);
  } catch (const NetError& error) {
    out.server_error = error.error();
  }
}

Task<void> connect_into(ByteStreamPtr transport, TlsClientContext context, ExpectedPeer peer,
                        Outcome& out) {
  try {
    out.client =
        co_await connect_tls(std::move(transport), std::move(context), std::move(peer), kTimeout);
    // A client learns with its first read whether its certificate was taken.
    std::uint8_t byte = 0;
    const std::size_t n = co_await out.client->read_some(std::span(&byte, 1));
    if (n != 1) throw NetError(Errc::unavailable, "no greeting");
  } catch (const NetError& error) {
    out.client_error = error.error();
    out.client.reset();
  }
}

class TlsTest : public ::testing::Test {
 protected:
  boost::asio::io_context io;
  TestCa ca{"cluster one"};
  TestCa other_ca{"cluster one"};  // same name: only the key tells
  Outcome out;

  CertificateWish server_wish() {
    CertificateWish wish;
    wish.common_name = "server";
    wish.subject_alt_name = "DNS:cp.example,IP:127.0.0.1,URI:spiffe://cls_a/node/nod_1";
    return wish;
  }

  void handshake(TlsClientOptions client, TlsServerOptions server, ExpectedPeer peer) {
    auto pair = test::make_memory_pair(io.get_executor());
    auto server_context = TlsServerContext::create(server);
    auto client_context = TlsClientContext::create(client);
    ASSERT_TRUE(server_context) << server_context.error().text();
    ASSERT_TRUE(client_context) << client_context.error().text();
    test::run_task(io, both(std::move(pair.a), std::move(pair.b), *client_context, *server_context,
                            std::move(peer)));
  }

  Task<void> both(ByteStreamPtr a, ByteStreamPtr b, TlsClientContext client_context,
                  TlsServerContext server_context, ExpectedPeer peer) {
    TaskGroup tasks(io.get_executor());
    tasks.spawn("client", connect_into(std::move(a), client_context, std::move(peer), out));
    co_await accept_into(std::move(b), server_context, out);
    if (out.server) {
      const std::uint8_t byte = 1;
      co_await out.server->write_all(ByteView(&byte, 1));
    }
    co_await tasks.drain(kTimeout);
  }

  TlsServerOptions server_options(ClientPolicy policy) {
    TlsServerOptions options;
    options.identity = ca.issue(server_wish());
    options.clients = std::move(policy);
    return options;
  }
  TlsClientOptions client_options() {
    TlsClientOptions options;
    options.trust = TrustCa{ca.pem()};
    return options;
  }
};

TEST_F(TlsTest, AcceptsWhatIsRight) {
  TlsClientOptions client = client_options();
  CertificateWish wish;
  wish.subject_alt_name = "URI:spiffe://cls_a/node/nod_2";
  client.identity = ca.issue(wish);
  handshake(client, server_options(RequireCa{ca.pem()}), HostName{"cp.example"});
  EXPECT_FALSE(out.client_error) << out.client_error->text();
  ASSERT_TRUE(out.server) << out.server_error->text();
  ASSERT_TRUE(out.server->peer_certificate());
  EXPECT_EQ(out.server->peer_certificate()->spiffe_uri, "spiffe://cls_a/node/nod_2");
  EXPECT_EQ(out.client->peer_certificate()->common_name, "server");
}

TEST_F(TlsTest, ChecksTheNameOfTheServer) {
  struct Case {
    ExpectedPeer peer;
    bool good;
  };
  const Case cases[] = {
      {HostName{"cp.example"}, true},
      {HostName{"CP.example"}, true},
      {HostName{"127.0.0.1"}, true},
      {HostName{"other.example"}, false},
      {HostName{"127.0.0.2"}, false},
      {HostName{"server"}, false},  // the common name does not count
      {SpiffeId{"spiffe://cls_a/node/nod_1"}, true},
      {SpiffeId{"spiffe://cls_a/node/nod_11"}, false},
      {SpiffeId{"spiffe://cls_b/node/nod_1"}, false},
  };
  for (const Case& c : cases) {
    out = {};
    handshake(client_options(), server_options(NoClientCertificate{}), c.peer);
    if (c.good) {
      EXPECT_FALSE(out.client_error) << out.client_error->text();
    } else {
      ASSERT_TRUE(out.client_error);
      EXPECT_EQ(out.client_error->code, Errc::mismatch) << out.client_error->text();
      EXPECT_FALSE(out.server && out.client);
    }
  }
}

TEST_F(TlsTest, RefusesAServerOfAnotherAuthority) {
  TlsClientOptions client;
  client.trust = TrustCa{other_ca.pem()};
  handshake(client, server_options(NoClientCertificate{}), HostName{"cp.example"});
  ASSERT_TRUE(out.client_error);
  EXPECT_EQ(out.client_error->code, Errc::mismatch) << out.client_error->text();
}

TEST_F(TlsTest, RefusesAnExpiredServerAndSaysSo) {
  TlsServerOptions server = server_options(NoClientCertificate{});
  CertificateWish wish = server_wish();
  wish.from = std::chrono::hours(-48);
  wish.until = std::chrono::hours(-1);
  server.identity = ca.issue(wish);
  handshake(client_options(), server, HostName{"cp.example"});
  ASSERT_TRUE(out.client_error);
  EXPECT_EQ(out.client_error->code, Errc::expired);
  EXPECT_NE(out.client_error->detail.find("expired at"), std::string::npos);
}

TEST_F(TlsTest, RefusesAClientOnlyCertificateAsServer) {
  TlsServerOptions server = server_options(NoClientCertificate{});
  CertificateWish wish = server_wish();
  wish.server = false;
  server.identity = ca.issue(wish);
  handshake(client_options(), server, HostName{"cp.example"});
  ASSERT_TRUE(out.client_error);
  EXPECT_EQ(out.client_error->code, Errc::unauthorized) << out.client_error->text();
}

TEST_F(TlsTest, PinnedAuthorityIsEnoughAndIsChecked) {
  auto facts = parse_certificate_pem(ca.pem());
  ASSERT_TRUE(facts);
  TlsClientOptions client;
  client.trust = TrustPin{facts->spki_sha256};
  handshake(client, server_options(NoClientCertificate{}), HostName{"cp.example"});
  EXPECT_FALSE(out.client_error) << out.client_error->text();

  out = {};
  auto other = parse_certificate_pem(other_ca.pem());
  client.trust = TrustPin{other->spki_sha256};
  handshake(client, server_options(NoClientCertificate{}), HostName{"cp.example"});
  ASSERT_TRUE(out.client_error);
  EXPECT_EQ(out.client_error->code, Errc::mismatch);

  // The pin of the leaf's own key is not a pin of an authority.
  out = {};
  TlsServerOptions server = server_options(NoClientCertificate{});
  auto leaf = parse_certificate_pem(server.identity.certificate_pem);
  client.trust = TrustPin{leaf->spki_sha256};
  handshake(client, server, HostName{"cp.example"});
  EXPECT_TRUE(out.client_error);
}

TEST_F(TlsTest, PinnedChainMustStillVerify) {
  // Presents the pinned CA beside a leaf that the CA did not issue.
  TlsServerOptions server = server_options(NoClientCertificate{});
  server.identity = other_ca.issue(server_wish());
  const auto end = server.identity.certificate_pem.find("-----END CERTIFICATE-----\n") + 26;
  server.identity.certificate_pem = server.identity.certificate_pem.substr(0, end) + ca.pem();
  TlsClientOptions client;
  client.trust = TrustPin{parse_certificate_pem(ca.pem())->spki_sha256};
  handshake(client, server, HostName{"cp.example"});
  ASSERT_TRUE(out.client_error);
  EXPECT_EQ(out.client_error->code, Errc::mismatch) << out.client_error->text();
}

TEST_F(TlsTest, ClientsThatRequireCaRefuses) {
  struct Case {
    const char* name;
    std::optional<TlsIdentity> identity;
    Errc server_code;
  };
  CertificateWish expired;
  expired.from = std::chrono::hours(-48);
  expired.until = std::chrono::hours(-1);
  CertificateWish server_only;
  server_only.client = false;
  const Case cases[] = {
      {"none", std::nullopt, Errc::unauthorized},
      {"another cluster", other_ca.issue(CertificateWish()), Errc::mismatch},
      {"expired", ca.issue(expired), Errc::expired},
      {"wrong use", ca.issue(server_only), Errc::unauthorized},
      {"self-signed", make_self_signed_identity("x", std::chrono::hours(1)), Errc::mismatch},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    out = {};
    TlsClientOptions client = client_options();
    client.identity = c.identity;
    handshake(client, server_options(RequireCa{ca.pem()}), HostName{"cp.example"});
    ASSERT_TRUE(out.server_error);
    EXPECT_EQ(out.server_error->code, c.server_code) << out.server_error->text();
    ASSERT_TRUE(out.client_error);
    EXPECT_NE(out.client_error->code, Errc::unavailable) << out.client_error->text();
  }
}

TEST_F(TlsTest, OptionalCaTakesNoneButNoWrongOne) {
  handshake(client_options(), server_options(OptionalCa{ca.pem()}), HostName{"cp.example"});
  ASSERT_TRUE(out.server);
  EXPECT_FALSE(out.server->peer_certificate());

  out = {};
  TlsClientOptions client = client_options();
  client.identity = other_ca.issue(CertificateWish());
  handshake(client, server_options(OptionalCa{ca.pem()}), HostName{"cp.example"});
  EXPECT_TRUE(out.server_error);

  out = {};
  handshake(client, server_options(OptionalCa{""}), HostName{"cp.example"});
  EXPECT_TRUE(out.server_error);
}

TEST_F(TlsTest, AnyClientCertificateIsReported) {
  TlsClientOptions client = client_options();
  client.identity = make_self_signed_identity("rapctl", std::chrono::hours(1));
  handshake(client, server_options(AnyClientCertificate{}), HostName{"cp.example"});
  ASSERT_TRUE(out.server) << out.server_error->text();
  EXPECT_EQ(out.server->peer_certificate()->sha256,
            parse_certificate_pem(client.identity->certificate_pem)->sha256);

  out = {};
  handshake(client_options(), server_options(AnyClientCertificate{}), HostName{"cp.example"});
  ASSERT_TRUE(out.server_error);
  EXPECT_EQ(out.server_error->code, Errc::unauthorized);
}

TEST_F(TlsTest, AlpnMustAgree) {
  TlsClientOptions client = client_options();
  TlsServerOptions server = server_options(NoClientCertificate{});
  client.alpn = {"h2"};
  server.alpn = {"h2"};
  handshake(client, server, HostName{"cp.example"});
  ASSERT_TRUE(out.client);
  EXPECT_EQ(out.client->alpn(), "h2");

  for (const bool client_asks : {true, false}) {
    out = {};
    client.alpn = client_asks ? std::vector<std::string>{"http/1.1"} : std::vector<std::string>{};
    handshake(client, server, HostName{"cp.example"});
    ASSERT_TRUE(out.server_error);
    EXPECT_TRUE(out.client_error);
  }
}

TEST_F(TlsTest, ContextsRefuseToTrustNothing) {
  EXPECT_EQ(TlsClientContext::create(TlsClientOptions()).error().code, Errc::invalid);
  TlsClientOptions empty_pin;
  empty_pin.trust = TrustPin{};
  EXPECT_EQ(TlsClientContext::create(empty_pin).error().code, Errc::invalid);
  TlsServerOptions server;
  server.identity = ca.issue(server_wish());
  EXPECT_EQ(TlsServerContext::create(server).error().code, Errc::invalid);
  server.clients = NoClientCertificate{};
  server.identity.key_pem = generate_p256_key_pem();
  EXPECT_EQ(TlsServerContext::create(server).error().code, Errc::mismatch);
  server.identity.certificate_pem = "garbage";
  EXPECT_EQ(TlsServerContext::create(server).error().code, Errc::malformed);
}

TEST_F(TlsTest, SettingsChangeForLaterHandshakesAndStayOnFailure) {
  auto context = TlsServerContext::create(server_options(RequireCa{ca.pem()}));
  ASSERT_TRUE(context);
  EXPECT_FALSE(context->set_client_ca("garbage"));
  EXPECT_FALSE(context->set_identity(TlsIdentity{"a", "b"}));
  EXPECT_TRUE(context->set_client_ca(other_ca.pem()));
  TlsClientOptions client = client_options();
  client.identity = other_ca.issue(CertificateWish());
  auto client_context = TlsClientContext::create(client);
  auto pair = test::make_memory_pair(io.get_executor());
  test::run_task(io, both(std::move(pair.a), std::move(pair.b), *client_context, *context,
                          HostName{"cp.example"}));
  EXPECT_TRUE(out.server);
}

Task<void> send_all(ByteStream& stream, const Bytes& bytes) {
  co_await stream.write_all(bytes);
  co_await stream.shutdown();
}

Task<void> receive_all(ByteStream& stream, Bytes& into) {
  Bytes piece(50'000);
  for (;;) {
    const std::size_t n = co_await stream.read_some(piece);
    if (n == 0) break;
    into.insert(into.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(n));
  }
}

Task<void> cross(ByteStream& a, ByteStream& b, const Bytes& sent, Bytes& at_a, Bytes& at_b) {
  auto executor = co_await asio::this_coro::executor;
  TaskGroup tasks(executor);
  tasks.spawn("a out", send_all(a, sent));
  tasks.spawn("b out", send_all(b, sent));
  tasks.spawn("a in", receive_all(a, at_a));
  tasks.spawn("b in", receive_all(b, at_b));
  co_await tasks.drain(milliseconds(15'000));
}

TEST_F(TlsTest, CarriesMegabytesBothWaysAtOnceAndEndsInOrder) {
  handshake(client_options(), server_options(NoClientCertificate{}), HostName{"cp.example"});
  ASSERT_TRUE(out.server && out.client);
  const Bytes sent = random_bytes(3'000'001);
  Bytes at_client;
  Bytes at_server;
  test::run_task(io, cross(*out.client, *out.server, sent, at_client, at_server));
  EXPECT_TRUE(at_client == sent);
  EXPECT_TRUE(at_server == sent);
}

Task<void> read_one(ByteStream& stream, std::optional<Error>& error) {
  try {
    std::uint8_t byte = 0;
    co_await stream.read_some(std::span(&byte, 1));
  } catch (const NetError& e) {
    error = e.error();
  }
}

TEST_F(TlsTest, ACutIsNotAnEnd) {
  handshake(client_options(), server_options(NoClientCertificate{}), HostName{"cp.example"});
  ASSERT_TRUE(out.server && out.client);
  static_cast<TlsStream&>(*out.client).transport().close();
  std::optional<Error> error;
  test::run_task(io, read_one(*out.server, error));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, Errc::unavailable);
}

Task<void> write_and_close(ByteStream& stream, const Bytes& bytes) {
  try {
    co_await stream.write_all(bytes);
    co_await stream.shutdown();
  } catch (const NetError&) {
    // The server may hang up first.
  }
}

Task<void> garbage(boost::asio::io_context& io, TlsServerContext context, Bytes bytes,
                   Outcome& out) {
  auto pair = test::make_memory_pair(io.get_executor());
  TaskGroup tasks(io.get_executor());
  tasks.spawn("garbage", write_and_close(*pair.a, bytes));
  co_await accept_into(std::move(pair.b), context, out);
  co_await tasks.drain(kTimeout);
}

TEST_F(TlsTest, GarbageBeforeTlsIsRefused) {
  auto context = TlsServerContext::create(server_options(RequireCa{ca.pem()}));
  std::vector<Bytes> cases = {
      {},
      to_bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
      to_bytes("SSH-2.0-OpenSSH_9.2\r\n"),
      Bytes(100'000, 0),
      Bytes(100'000, 0xff),
      {0x16, 0x03, 0x01, 0xff, 0xff, 0x01},
      {0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0xff, 0xff, 0xff, 0x03},
  };
  for (int i = 0; i < 50; ++i) cases.push_back(random_bytes(200));
  for (const Bytes& bytes : cases) {
    out = {};
    test::run_task(io, garbage(io, *context, bytes, out));
    EXPECT_TRUE(out.server_error);
    EXPECT_FALSE(out.server);
  }
}

TEST_F(TlsTest, ASilentClientIsCutAtTheDeadline) {
  auto context = TlsServerContext::create(server_options(RequireCa{ca.pem()}));
  auto pair = test::make_memory_pair(io.get_executor());
  try {
    test::run_task(io, accept_tls(std::move(pair.b), *context, milliseconds(20)));
    FAIL();
  } catch (const NetError& error) {
    EXPECT_EQ(error.code(), Errc::timeout);
  }
}

}  // namespace
}  // namespace rap::net
