#include "tests/integration/listener/fake_node.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include <boost/json.hpp>

#include "base/id.hpp"
#include "base/json.hpp"

namespace rap::test {

namespace {

using namespace std::chrono_literals;

template <typename T>
T need(Result<T> result, const char* what) {
  if (!result) throw std::runtime_error(std::string(what) + ": " + result.error().text());
  return std::move(*result);
}

}  // namespace

FakeNode::FakeNode() : lease_key_(random_bytes(32)) {
  CertificateWish wish;
  wish.subject_alt_name = "URI:" + spiffe;
  node_ = ca.issue(wish);
  std::string name = (std::filesystem::temp_directory_path() / "rap-listener-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  directory_ = name;
  socket_path_ = directory_ + "/listener.sock";
  const Fd listening = need(ipc::listen_at(socket_path_), "listen");
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // also when the test dies
    // Away from 3 and 5 first: a descriptor copied onto itself stays close-on-exec.
    const int listening_copy = ::fcntl(listening.get(), F_DUPFD, 20);
    ::dup2(listening_copy, 3);
    ::dup2(STDERR_FILENO, 5);
    char* const environment[] = {nullptr};
    const char* const arguments[] = {RAP_BIN_DIR "/rap-mesh-listener", "--instance", "listener",
                                     nullptr};
    ::execve(arguments[0], const_cast<char* const*>(arguments), environment);
    ::_exit(127);
  }
  connect_agent();
}

FakeNode::~FakeNode() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::filesystem::remove_all(directory_);
}

void FakeNode::connect_agent() {
  agent_.reset();
  agent_ = std::make_unique<ipc::BlockingClient>(need(ipc::connect_to(socket_path_), "connect"));
  need(agent_->hello("00112233445566778899aabbccddeeff", ++fence_, kPatience), "hello");
}

boost::json::object FakeNode::configuration() const {
  const Bytes public_key = *fabric::lease_public_key(lease_key_);
  boost::json::object key;
  key["kid"] = fabric::lease_key_id(public_key);
  key["public"] = to_hex(public_key);
  boost::json::array keys;
  keys.push_back(key);
  boost::json::object out;
  out["op"] = "configure";
  out["listen"] = "127.0.0.1:0";
  out["certificate_pem"] = node_.certificate_pem;
  out["key_pem"] = node_.key_pem;
  out["cluster_ca_pem"] = ca.pem();
  out["audience"] = spiffe;
  out["issuer"] = cluster;
  out["lease_keys"] = std::move(keys);
  return out;
}

void FakeNode::configure() {
  const auto answer = need(agent_->call(configuration(), {}, kPatience), "configure");
  endpoint = need(json_string(*answer.body, "endpoint"), "endpoint");
}

fabric::LeaseClaims FakeNode::claims_for(const net::TlsIdentity& identity,
                                         const std::string& session) const {
  fabric::LeaseClaims out;
  out.issuer = cluster;
  out.audience = spiffe;
  out.user_id = "usr_1";
  out.user_name = "Ann";
  out.issued_at = to_unix_seconds(RealClock().now());
  out.expires_at = out.issued_at + 30;
  out.session_id = session;
  out.organization_id = "org_1";
  out.resource_id = "res_1";
  out.client_certificate_sha256 = net::parse_certificate_pem(identity.certificate_pem)->sha256;
  return out;
}

std::string FakeNode::mint(const fabric::LeaseClaims& claims) const {
  return need(fabric::mint_lease(claims, lease_key_), "lease");
}

fabric::SessionStreamOptions FakeNode::client_options() const {
  fabric::SessionStreamOptions out;
  out.endpoint = endpoint;
  out.spiffe_id = spiffe;
  out.cluster_ca_pem = ca.pem();
  out.identity = net::make_self_signed_identity("rapctl", 1h);
  out.session_id = SessionId::fresh().str();
  out.timeout = kPatience;
  out.lease = mint(claims_for(out.identity, out.session_id));
  return out;
}

Fd FakeNode::take_stream() {
  ipc::Message message = need(agent_->next_message(kPatience), "stream");
  if (message.op != "stream" || message.fds.size() != 1) throw std::runtime_error("not a stream");
  const Status status = agent_->answer(*message.id, boost::json::object());
  if (!status) throw std::runtime_error(status.error().text());
  return std::move(message.fds.front());
}

int FakeNode::stop() {
  ::kill(pid_, SIGTERM);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace rap::test
