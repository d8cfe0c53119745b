#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include <boost/json.hpp>

#include "base/id.hpp"
#include "base/json.hpp"
#include "base/net/timer.hpp"
#include "tests/integration/listener/fake_node.hpp"
#include "tests/support/awake.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/run_task.hpp"

namespace rap::test {
namespace {

using namespace std::chrono_literals;
using fabric::SessionStreamOptions;
using net::ByteStreamPtr;
using net::Task;

// A client with a loop of its own, as rapctl is a process of its own.
struct Client {
  boost::asio::io_context io;
  Result<ByteStreamPtr> stream = fail(Errc::internal, "not opened");

  void open(SessionStreamOptions options) {
    stream = run_task(io, fabric::open_session_stream(std::move(options)));
  }
  std::future<void> open_async(SessionStreamOptions options) {
    return std::async(std::launch::async, [this, options] { open(options); });
  }
  void send(std::string_view text) { run_task(io, (*stream)->write_all(as_bytes(text))); }
  std::string receive() {
    Bytes buffer(1000);
    const std::size_t n = run_task(io, (*stream)->read_some(buffer));
    return std::string(as_text(ByteView(buffer).first(n)));
  }
};

void send_fd(const Fd& fd, std::string_view text) {
  ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
}
std::string receive_fd(const Fd& fd) {
  pollfd waiting{fd.get(), POLLIN, 0};
  if (::poll(&waiting, 1, kPatienceMs) != 1) return "(nothing came)";
  char buffer[1000];
  const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
  return n < 0 ? "(lost)" : std::string(buffer, static_cast<std::size_t>(n));
}

class ListenerTest : public ::testing::Test {
 protected:
  FakeNode node;

  void SetUp() override { node.configure(); }

  // Opens a stream and takes it as the agent.
  Fd open(Client& client) {
    auto done = client.open_async(node.client_options());
    Fd worker = node.take_stream();
    done.get();
    EXPECT_TRUE(client.stream) << client.stream.error().text();
    return worker;
  }

  Error refusal(SessionStreamOptions options) {
    Client client;
    client.open(std::move(options));
    EXPECT_FALSE(client.stream);
    return client.stream ? Error{} : client.stream.error();
  }

  // Runs the client's loop, as long as that takes.
  static void until(Client& client, const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!done() && std::chrono::steady_clock::now() < end) {
      client.io.restart();
      client.io.run_for(20ms);
    }
  }

  boost::json::object status() {
    boost::json::object body;
    body["op"] = "status";
    return *node.agent().call(body, {}, kPatience)->body;
  }
};

TEST_F(ListenerTest, CarriesAStreamBothWaysUntilTheWorkerEnds) {
  Client client;
  Fd worker = open(client);
  client.send("hello");
  EXPECT_EQ(receive_fd(worker), "hello");
  send_fd(worker, "world");
  EXPECT_EQ(client.receive(), "world");
  EXPECT_EQ(status()["streams"].as_int64(), 1);
  send_fd(worker, "last words");
  worker.reset();
  EXPECT_EQ(client.receive(), "last words");
  EXPECT_EQ(client.receive(), "");
  client.stream->reset();
  until(client, [&] { return status()["connections"].as_int64() == 0; });
  EXPECT_EQ(status()["streams"].as_int64(), 0);
  EXPECT_EQ(status()["connections"].as_int64(), 0);
}

TEST_F(ListenerTest, TellsTheWorkerWhenTheClientIsGone) {
  Client client;
  const Fd worker = open(client);
  client.stream->reset();
  std::string got = "(nothing)";
  until(client, [&] {
    pollfd waiting{worker.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 0) != 1) return false;
    got = receive_fd(worker);
    return true;
  });
  EXPECT_EQ(got, "");
}

TEST_F(ListenerTest, TellsTheWorkerWhenTheClientDies) {
  auto client = std::make_unique<Client>();
  const Fd worker = open(*client);
  client.reset();  // the socket closes without a word
  EXPECT_EQ(receive_fd(worker), "");
}

TEST_F(ListenerTest, SaysWhyItRefuses) {
  const auto base = node.client_options();
  const auto with = [&](auto change) {
    SessionStreamOptions options = node.client_options();
    fabric::LeaseClaims claims = node.claims_for(options.identity, options.session_id);
    change(options, claims);
    options.lease = node.mint(claims);
    return refusal(options).code;
  };
  EXPECT_EQ(with([](auto&, auto& claims) {
              claims.issued_at -= 3600;
              claims.expires_at -= 3600;
            }),
            Errc::expired);
  EXPECT_EQ(with([](auto&, auto& claims) { claims.issuer = "cls_2"; }), Errc::mismatch);
  EXPECT_EQ(with([](auto&, auto& claims) { claims.audience += "x"; }), Errc::mismatch);
  EXPECT_EQ(with([](auto&, auto& claims) { claims.session_id = SessionId::fresh().str(); }),
            Errc::mismatch);
  EXPECT_EQ(with([](auto& options, auto&) {
              options.identity = net::make_self_signed_identity("thief", 1h);
            }),
            Errc::mismatch);
  SessionStreamOptions garbage = node.client_options();
  garbage.lease = "garbage";
  EXPECT_EQ(refusal(garbage).code, Errc::malformed);
  garbage = node.client_options();
  char& digit = garbage.lease[garbage.lease.size() - 10];
  digit = digit == 'A' ? 'B' : 'A';
  EXPECT_EQ(refusal(garbage).code, Errc::bad_signature);
  garbage = node.client_options();
  garbage.session_id = "not-a-session";
  EXPECT_EQ(refusal(garbage).code, Errc::invalid);
  SessionStreamOptions wrong_node = node.client_options();
  wrong_node.spiffe_id = "spiffe://cls_1/node/nod_2";
  EXPECT_EQ(refusal(wrong_node).code, Errc::mismatch);
  SessionStreamOptions wrong_ca = node.client_options();
  wrong_ca.cluster_ca_pem = TestCa("other").pem();
  EXPECT_EQ(refusal(wrong_ca).code, Errc::mismatch);
  const auto refused = status()["refused"].as_object();
  EXPECT_EQ(refused.at("mismatch").as_int64(), 4);
  EXPECT_EQ(refused.at("expired").as_int64(), 1);
  EXPECT_EQ(refused.at("tls").as_int64(), 2);
}

TEST_F(ListenerTest, TakesALeaseOnce) {
  const auto options = node.client_options();
  Client first;
  auto done = first.open_async(options);
  const Fd worker = node.take_stream();
  done.get();
  EXPECT_EQ(refusal(options).code, Errc::conflict);
}

TEST_F(ListenerTest, PassesTheAgentsRefusalOn) {
  for (const Errc code : {Errc::not_found, Errc::forbidden, Errc::unavailable}) {
    Client client;
    auto done = client.open_async(node.client_options());
    auto message = node.agent().next_message(kPatience);
    ASSERT_TRUE(message);
    const auto claims = json_object(*message->body, "claims");
    EXPECT_EQ(fabric::lease_claims_from_json(**claims)->user_name, "Ann");
    ASSERT_TRUE(node.agent().refuse(*message->id, Error{code, "because\r\nof that"}));
    done.get();
    ASSERT_FALSE(client.stream);
    EXPECT_EQ(client.stream.error().code, code);
    EXPECT_EQ(client.stream.error().detail, "because??of that");
  }
}

TEST_F(ListenerTest, RunningStreamsDoNotNeedTheAgent) {
  Client client;
  const Fd worker = open(client);
  node.drop_agent();
  client.send("still");
  EXPECT_EQ(receive_fd(worker), "still");

  // A new stream waits for the agent's return.
  Client second;
  auto done = second.open_async(node.client_options());
  std::this_thread::sleep_for(500ms);
  node.connect_agent();
  const Fd second_worker = node.take_stream();
  done.get();
  ASSERT_TRUE(second.stream) << second.stream.error().text();
  second.send("me too");
  EXPECT_EQ(receive_fd(second_worker), "me too");
  send_fd(worker, "here");
  EXPECT_EQ(client.receive(), "here");
}

TEST_F(ListenerTest, AnswersUnavailableWhenTheAgentStaysAway) {
  node.drop_agent();
  const test::Awake awake;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(refusal(node.client_options()).code, Errc::unavailable);
  EXPECT_LT(awake.elapsed(), 8s);
  // It may come back: see RunningStreamsDoNotNeedTheAgent.
  EXPECT_GT(std::chrono::steady_clock::now() - begin, 4s);
}

TEST_F(ListenerTest, ANewCertificateIsForNewConnections) {
  Client client;
  const Fd worker = open(client);
  CertificateWish wish;
  wish.subject_alt_name = "URI:" + node.spiffe;
  wish.common_name = "renewed";
  const std::string before = node.endpoint;
  node.set_node_certificate(node.ca.issue(wish));
  node.configure();
  EXPECT_EQ(node.endpoint, before);
  client.send("old");
  EXPECT_EQ(receive_fd(worker), "old");
  Client second;
  const Fd second_worker = open(second);
  second.send("new");
  EXPECT_EQ(receive_fd(second_worker), "new");
}

TEST_F(ListenerTest, RefusesConfigurationsThatCannotWork) {
  CertificateWish wish;
  wish.subject_alt_name = "URI:spiffe://cls_1/node/nod_2";
  const net::TlsIdentity other_node = node.ca.issue(wish);
  wish.subject_alt_name = "URI:" + node.spiffe;
  const net::TlsIdentity other_cluster = TestCa("cluster").issue(wish);
  wish.from = -48h;
  wish.until = -1h;
  const net::TlsIdentity expired = node.ca.issue(wish);
  struct Case {
    const char* name;
    std::function<void(boost::json::object&)> change;
    Errc code;
  };
  const Case cases[] = {
      {"no listen", [](auto& o) { o.erase("listen"); }, Errc::invalid},
      {"bad listen", [](auto& o) { o["listen"] = "x"; }, Errc::malformed},
      {"host name", [](auto& o) { o["listen"] = "localhost:0"; }, Errc::invalid},
      {"foreign address", [](auto& o) { o["listen"] = "192.0.2.1:0"; }, Errc::unavailable},
      {"key", [](auto& o) { o["key_pem"] = net::generate_p256_key_pem(); }, Errc::mismatch},
      {"garbage", [](auto& o) { o["certificate_pem"] = "x"; }, Errc::malformed},
      {"other node", [&](auto& o) { o["certificate_pem"] = other_node.certificate_pem; },
       Errc::mismatch},
      {"other cluster", [&](auto& o) { o["certificate_pem"] = other_cluster.certificate_pem; },
       Errc::mismatch},
      {"expired", [&](auto& o) { o["certificate_pem"] = expired.certificate_pem; }, Errc::expired},
      {"lease keys", [](auto& o) { o["lease_keys"] = boost::json::array{1}; }, Errc::invalid},
      {"kid",
       [](auto& o) { o["lease_keys"].as_array()[0].as_object()["kid"] = "0123456789abcdef"; },
       Errc::invalid},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    boost::json::object body = node.configuration();
    c.change(body);
    const auto answer = node.agent().call(body, {}, kPatience);
    ASSERT_FALSE(answer);
    EXPECT_EQ(name(answer.error().code), name(c.code)) << answer.error().text();
  }
  Client client;
  open(client);  // what was there goes on
}

TEST_F(ListenerTest, DialsAndSaysWhyNot) {
  const int target = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(target, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(target, 1), 0);
  ::getsockname(target, reinterpret_cast<sockaddr*>(&address), &length);
  boost::json::object body;
  body["op"] = "dial";
  body["host"] = "localhost";
  body["port"] = ntohs(address.sin_port);
  body["timeout_ms"] = kPatienceMs;
  auto answer = node.agent().call(body, {}, kPatience);
  ASSERT_TRUE(answer) << answer.error().text();
  ASSERT_EQ(answer->fds.size(), 1u);
  const Fd accepted(::accept(target, nullptr, nullptr));
  send_fd(accepted, "SSH-2.0");
  EXPECT_EQ(receive_fd(answer->fds[0]), "SSH-2.0");
  ::close(target);

  const ClosedPort closed;
  body["port"] = closed.number();
  answer = node.agent().call(body, {}, kPatience);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unavailable);
  EXPECT_EQ(answer.error().detail.find("127.0.0.1"), std::string::npos);
  body["host"] = "no-such-host.invalid";
  EXPECT_FALSE(node.agent().call(body, {}, kPatience));
  for (const boost::json::value& port : {boost::json::value(0), boost::json::value(65536),
                                         boost::json::value("ssh"), boost::json::value()}) {
    body["port"] = port;
    EXPECT_EQ(node.agent().call(body, {}, kPatience).error().code, Errc::invalid);
  }
  body["op"] = "fly";
  EXPECT_EQ(node.agent().call(body, {}, kPatience).error().code, Errc::unsupported);
}

Task<void> throw_garbage(std::string host, std::uint16_t port, int count,
                         std::vector<std::unique_ptr<net::TcpStream>>& held) {
  for (int i = 0; i < count; ++i) {
    auto stream = co_await net::connect_tcp(host, port, kPatience);
    co_await stream->write_all(as_bytes("GET / HTTP/1.1\r\n\r\n"));
    held.push_back(std::move(stream));
    if (held.size() > 300) held.erase(held.begin());
  }
}

TEST_F(ListenerTest, TenThousandGarbageConnectionsDoNotHurt) {
  Client client;
  const Fd worker = open(client);
  const auto address = net::parse_host_port(node.endpoint);
  boost::asio::io_context io;  // outlives its sockets
  std::vector<std::unique_ptr<net::TcpStream>> held;
  run_task(io, throw_garbage(address->host, address->port, 10'000, held));
  client.send("unmoved");
  EXPECT_EQ(receive_fd(worker), "unmoved");
  Client second;
  open(second);
}

TEST_F(ListenerTest, RunsWithoutThePowersOfItsStarter) {
  const auto text = read_text_file("/proc/" + std::to_string(node.pid()) + "/status", 64 * 1024);
  ASSERT_TRUE(text);
  const auto has = [&](const std::string& line) {
    return text->find("\n" + line + "\n") != std::string::npos;
  };
  EXPECT_TRUE(has("NoNewPrivs:\t1"));
  EXPECT_TRUE(has("Seccomp:\t2"));
  if (::geteuid() != 0) GTEST_SKIP() << "not root: there is no other user to become";
  EXPECT_TRUE(has("Uid:\t65533\t65533\t65533\t65533"));
  EXPECT_TRUE(has("CapPrm:\t0000000000000400"));  // ports below 1024
  EXPECT_TRUE(has("CapEff:\t0000000000000400"));
  EXPECT_TRUE(has("CapBnd:\t0000000000000400"));
}

TEST_F(ListenerTest, DialsByNameInsideItsBox) {
  boost::asio::io_context io;
  auto target = std::move(*net::Listener::bind(io.get_executor(), {"127.0.0.1", 0}));
  boost::json::object body;
  body["op"] = "dial";
  body["host"] = "localhost";
  body["port"] = target->local_address().port;
  body["timeout_ms"] = kPatienceMs;
  body["organization"] = "org_1";
  const auto answer = node.agent().call(body, {}, kPatience);
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->fds.size(), 1u);
}

TEST_F(ListenerTest, SilentConnectionsDelayNobody) {
  const auto address = net::parse_host_port(node.endpoint);
  boost::asio::io_context io;
  std::vector<std::unique_ptr<net::TcpStream>> silent;
  for (int i = 0; i < 400; ++i) {
    silent.push_back(run_task(io, net::connect_tcp(address->host, address->port, kPatience)));
  }
  std::this_thread::sleep_for(1200ms);  // now they count as slow
  const test::Awake awake;
  Client client;
  const Fd worker = open(client);
  EXPECT_LT(awake.elapsed(), 5s);  // half of what a silent handshake is given
  EXPECT_LE(status()["connections"].as_int64(), 257);
}

TEST_F(ListenerTest, CarriesALotWithoutLosingAByte) {
  Client client;
  const Fd worker = open(client);
  const Bytes sent = random_bytes(20'000'000);
  std::thread writer([&] {
    ByteView rest(sent);
    while (!rest.empty()) {
      const ssize_t n = ::send(worker.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (n <= 0) break;
      rest = rest.subspan(static_cast<std::size_t>(n));
    }
  });
  Bytes got(sent.size());
  EXPECT_TRUE(run_task(client.io, net::read_exact(**client.stream, got)));
  writer.join();
  EXPECT_TRUE(got == sent);
}

TEST_F(ListenerTest, EndsInOrderWhenAsked) {
  Client client;
  const Fd worker = open(client);
  EXPECT_EQ(node.stop(), 0);
  EXPECT_EQ(receive_fd(worker), "");
}

}  // namespace
}  // namespace rap::test
