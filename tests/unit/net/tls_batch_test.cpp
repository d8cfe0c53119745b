// TLS without waiting, over a real socket: base/net/tls_batch.cpp.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/file.hpp"
#include "base/net/batched_stream.hpp"
#include "base/net/task_group.hpp"
#include "base/net/tcp.hpp"
#include "base/net/tls.hpp"
#include "tests/support/run_task.hpp"
#include "tests/support/test_ca.hpp"

namespace rap::net {
namespace {

constexpr milliseconds kTimeout{30'000};

Task<void> accept_into(ByteStreamPtr transport, TlsServerContext context, ByteStreamPtr& out) {
  out = co_await accept_tls(std::move(transport), std::move(context), kTimeout);
}

Task<void> connect_into(ByteStreamPtr transport, TlsClientContext context, ByteStreamPtr& out) {
  ExpectedPeer peer = HostName{"here"};
  out = co_await connect_tls(std::move(transport), std::move(context), std::move(peer), kTimeout);
}

class TlsBatchTest : public ::testing::Test {
 protected:
  boost::asio::io_context io;
  ByteStreamPtr sender;
  std::unique_ptr<BatchedIo> reader;

  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    const test::TestCa ca("cluster");
    test::CertificateWish wish;
    wish.subject_alt_name = "DNS:here";
    TlsServerOptions server_options;
    server_options.identity = ca.issue(wish);
    server_options.clients = NoClientCertificate{};
    const auto server = TlsServerContext::create(server_options);
    TlsClientOptions client_options;
    client_options.trust = TrustCa{ca.pem()};
    const auto client = TlsClientContext::create(client_options);
    ASSERT_TRUE(server) << server.error().text();
    ASSERT_TRUE(client) << client.error().text();
    TaskGroup tasks(io.get_executor());
    tasks.spawn("accept",
                accept_into(wrap_socket(io.get_executor(), Fd(ends[0])), *server, sender));
    ByteStreamPtr receiver;
    test::run_task(io,
                   connect_into(wrap_socket(io.get_executor(), Fd(ends[1])), *client, receiver));
    test::run_task(io, tasks.drain(kTimeout));
    ASSERT_TRUE(sender && receiver);
    reader = make_batched_io(io.get_executor(), std::move(receiver));
  }
};

// Whoever waits for the socket although something is left waits for ever: the sender may have
// nothing more to say.
TEST_F(TlsBatchTest, DrainedMeansThatNothingIsLeft) {
  Bytes into(64 * 1024);
  for (const std::size_t piece : {std::size_t{1'000}, std::size_t{16'384}, into.size()}) {
    for (std::size_t bytes = 500; bytes < 130'000; bytes += 1'500) {
      test::run_task(io, sender->write_all(Bytes(bytes, 7)));
      std::size_t got = 0;
      for (;;) {
        const auto n = reader->read_now(std::span(into).first(piece));
        got += n.value_or(0);
        if (!n || reader->drained()) break;
      }
      ASSERT_EQ(got, bytes) << "read by " << piece;
    }
  }
}

}  // namespace
}  // namespace rap::net
