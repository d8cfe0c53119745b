// A running server and a clock that is turned forward: its certificate changes under it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/file.hpp"
#include "base/net/tls.hpp"
#include "controlplane/app/init.hpp"
#include "controlplane/app/server.hpp"
#include "controlplane/pki/platform.hpp"
#include "controlplane/pki/server_certificate.hpp"
#include "tests/support/run_task.hpp"

namespace rap::cp {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;

struct TurnedClock : Clock {
  SystemTime time{};
  SystemTime now() const override { return time; }
};

// The serial of the certificate that a new connection is shown.
net::Task<std::string> shown_serial(std::string ca, net::HostPort at) {
  net::TlsClientOptions options;
  options.trust = net::TrustCa{std::move(ca)};
  const auto context = net::TlsClientContext::create(options);
  auto socket = co_await net::connect_tcp(at.host, at.port, net::milliseconds(2000));
  net::ExpectedPeer peer = net::HostName{at.host};
  auto stream =
      co_await net::connect_tls(std::move(socket), *context, peer, net::milliseconds(2000));
  co_return stream->peer_certificate()->serial_hex;
}

net::Task<void> pause(net::milliseconds time) {
  co_await net::sleep_for(time);
}

TEST(Renewal, ChangesTheCertificateOfARunningServer) {
  std::string folder = (fs::temp_directory_path() / "rap-renewal-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  Config config;
  config.data_dir = fs::path(folder) / "data";
  config.postgres.admin_url = std::getenv("RAP_TEST_POSTGRES");
  config.postgres.url = config.postgres.admin_url + " user=rap_app password=app-pw";
  config.listen = {"127.0.0.1", 0};
  config.public_url = "https://127.0.0.1:8443";
  config.metrics_listen.reset();
  std::ofstream(fs::path(folder) / "pw") << "a good long password\n";
  std::ostringstream out;
  const auto made = run_init(config, {"owner", "", fs::path(folder) / "pw"}, out);
  ASSERT_TRUE(made) << made.error().text();
  // A server that was set up 340 days ago.
  TurnedClock clock;
  const SystemTime today = RealClock().now();
  clock.time = today - hours(24 * 340);
  fs::remove(config.data_dir / kServerCertificateFile);
  const auto authority = load_platform_keys(config, clock.time);
  ASSERT_TRUE(authority) << authority.error().text();

  net::asio::io_context io(1);
  auto server = Server::create(io.get_executor(), config, clock);
  ASSERT_TRUE(server) << server.error().text();
  (*server)->start();
  const std::string ca = authority->authority.certificate_pem();
  const net::HostPort at = (*server)->local_address();
  const std::string before = test::run_task(io, shown_serial(ca, at));
  test::run_task(io, pause(net::milliseconds(2500)));  // a round of maintenance
  EXPECT_EQ(test::run_task(io, shown_serial(ca, at)), before);

  clock.time = today;
  std::string after = before;
  for (int i = 0; i < 50 && after == before; ++i) {
    test::run_task(io, pause(net::milliseconds(200)));
    after = test::run_task(io, shown_serial(ca, at));
  }
  EXPECT_NE(after, before);
  const auto file = read_text_file(config.data_dir / kServerCertificateFile, 64 * 1024);
  const auto facts = net::parse_certificate_pem(file->substr(file->find("-----BEGIN CERT")));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->serial_hex, after);
  EXPECT_GT(facts->not_after, today + hours(24 * 360));
  test::run_task(io, (*server)->stop());
  server->reset();
  fs::remove_all(folder);
}

}  // namespace
}  // namespace rap::cp
