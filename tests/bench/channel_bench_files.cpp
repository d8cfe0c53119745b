// Certificates, directory and leases of a run.
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/net/x509.hpp"
#include "fabric/carry_lease.hpp"
#include "tests/bench/channel_bench.hpp"
#include "tests/support/mesh_rig.hpp"
#include "tests/support/test_ca.hpp"

namespace rap::bench {

const std::string kService = test::numbered("svc_", 1);
const std::string kOrganization = test::org_id(1);

std::string text_of(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream out;
  out << in.rdbuf();
  if (!in) throw std::runtime_error("cannot read " + file);
  return out.str();
}

void make_files(const Files& files, unsigned leaves) {
  const test::TestCa ca("bench CA");
  std::ofstream(files.ca()) << ca.pem();
  test::CertificateWish host;
  host.subject_alt_name = "DNS:localhost";
  const net::TlsIdentity localhost = ca.issue(host);
  std::ofstream(files.chain()) << localhost.certificate_pem;
  std::ofstream(files.key()) << localhost.key_pem;
  std::ofstream(files.both()) << localhost.certificate_pem << localhost.key_pem;
  std::vector<unsigned> numbers{kNear, kMiddle, kTyping, kFar};
  for (unsigned i = 0; i < leaves; ++i) numbers.push_back(kLeaves + i);
  for (const unsigned number : numbers) {
    test::CertificateWish wish;
    wish.subject_alt_name = "URI:" + routing::mesh_spiffe(test::kCluster, test::node_id(number));
    const net::TlsIdentity identity = ca.issue(wish);
    std::ofstream(files.node(number) + ".pem") << identity.certificate_pem;
    std::ofstream(files.node(number) + ".key") << identity.key_pem;
  }
  std::ofstream(files.lease_key()) << to_hex(random_bytes(32));
}

net::TlsIdentity node_identity(const Files& files, unsigned number) {
  return {text_of(files.node(number) + ".pem"), text_of(files.node(number) + ".key")};
}

net::TlsClientContext client_context(const Files& files, const std::string& alpn) {
  net::TlsClientOptions options;
  options.trust = net::TrustCa{text_of(files.ca())};
  options.identity = net::TlsIdentity{text_of(files.chain()), text_of(files.key())};
  if (!alpn.empty()) options.alpn.push_back(alpn);
  return net::TlsClientContext::create(options).value();
}

net::TlsServerContext server_context(const Files& files, const std::string& alpn) {
  net::TlsServerOptions options;
  options.identity = net::TlsIdentity{text_of(files.chain()), text_of(files.key())};
  options.clients = net::RequireCa{text_of(files.ca())};
  if (!alpn.empty()) options.alpn.push_back(alpn);
  return net::TlsServerContext::create(options).value();
}

namespace {

// By number, of every node there is a certificate of.
std::map<unsigned, Sha256Digest> node_keys(const Files& files) {
  std::map<unsigned, Sha256Digest> out;
  for (unsigned number = kNear;;) {
    const std::string path = files.node(number) + ".pem";
    if (!std::filesystem::exists(path)) return out;
    out[number] = net::parse_certificate_pem(text_of(path)).value().spki_sha256;
    number = number == kFar ? kLeaves : number + 1;
  }
}

}  // namespace

routing::Directory directory_of(const Files& files, unsigned self, std::uint16_t middle_port,
                                std::uint16_t far_port) {
  using routing::Role;
  static const auto keys = node_keys(files);  // one run, one folder; 220 directories in "hold"
  std::vector<routing::NodeEntry> nodes;
  for (const auto& [number, key] : keys) {
    // Nodes with an address are asked over the links that they are dialled on, and nobody dials
    // port 1: each link is one connection.
    routing::RoleMask role = mask(Role::entry_node);
    std::uint16_t port = 1;
    if (number == kMiddle) role = mask(Role::relay_node), port = middle_port;
    if (number == kFar) role = mask(Role::service), port = far_port;
    routing::NodeEntry entry = test::node(number, role);
    entry.keys = {key};
    entry.endpoints = {"127.0.0.1:" + std::to_string(port)};
    nodes.push_back(std::move(entry));
  }
  routing::DirectoryDoc doc = test::mesh(std::move(nodes));
  doc.node_id = test::node_id(self);
  doc.issued_at = RealClock().now();
  doc.expires_at = doc.issued_at + std::chrono::hours(24);
  routing::GroupEntry service;
  service.name = kService;
  service.members = {test::node_id(kFar)};
  service.organizations = {kOrganization};
  doc.services.push_back(std::move(service));
  return test::compiled(std::move(doc));
}

std::string carry_lease(const Files& files) {
  fabric::CarryClaims claims;
  claims.issuer = test::kCluster;
  claims.target = {fabric::MeshTarget::Kind::service, kService};
  claims.user_id = test::numbered("usr_", 1);
  claims.organization_id = kOrganization;
  claims.session_id = test::numbered("ses_", 1);
  claims.issued_at = to_unix_seconds(RealClock().now());
  claims.expires_at = claims.issued_at + fabric::kCarryLifeMaxS;
  claims.bulk = true;
  const Bytes key = from_hex(text_of(files.lease_key())).value();
  return fabric::mint_carry_lease(claims, key).value();
}

Bytes lease_public_key(const Files& files) {
  return fabric::lease_public_key(from_hex(text_of(files.lease_key())).value()).value();
}

}  // namespace rap::bench
