#include "tests/support/mesh_world.hpp"

#include <stdexcept>

#include "fabric/ends/echo.hpp"

namespace rap::test {

using routing::Role;

routing::Directory mesh_directory(const std::vector<MeshMember>& members, unsigned self,
                                  const std::string& service, const std::string& organization) {
  routing::GroupEntry group;
  group.name = service;
  group.organizations = {organization};
  std::vector<unsigned> relays;
  for (const MeshMember& member : members) {
    if ((member.roles & mask(Role::relay_node)) != 0) relays.push_back(member.number);
  }
  std::vector<routing::NodeEntry> nodes;
  for (const MeshMember& member : members) {
    const bool serves = (member.roles & mask(Role::service)) != 0;
    auto entry = serves ? hidden(member.number, relays) : test::node(member.number, member.roles);
    if (!serves) entry.endpoints = {member.address};
    if (serves) group.members.push_back(entry.node_id);
    nodes.push_back(std::move(entry));
  }
  auto doc = mesh(std::move(nodes));
  doc.node_id = node_id(self);
  doc.issued_at = RealClock().now();
  doc.expires_at = doc.issued_at + std::chrono::hours(24);
  doc.services.push_back(std::move(group));
  return compiled(std::move(doc));
}

MeshWorld::MeshWorld()
    : ca("cluster CA"),
      lease_private_key(random_bytes(32)),
      client(net::make_self_signed_identity("client", std::chrono::hours(13))) {
  const Bytes key = *fabric::lease_public_key(lease_private_key);
  lease_key = {fabric::lease_key_id(key), key};
  resume = fabric::client_resume_limits();
  resume.probe_busy = net::milliseconds(200);
  resume.probe_timeout = net::milliseconds(400);
}

MeshWorld::~MeshWorld() {
  for (Member& member : members_) member.node->kill();
  io.restart();
  io.run_for(net::milliseconds(300));  // coroutines let go of their nodes
}

MeshNodeSetup MeshWorld::setup_of(unsigned number, routing::RoleMask roles) const {
  MeshNodeSetup out;
  out.node_id = node_id(number);
  out.mesh_address.host = loopback;
  out.cluster_ca_pem = ca.pem();
  CertificateWish wish;
  wish.subject_alt_name = "URI:" + fabric::mesh_spiffe(kCluster, out.node_id);
  out.mesh = ca.issue(wish);
  if ((roles & mask(Role::entry_node)) != 0) {
    wish.subject_alt_name = "URI:" + fabric::entry_spiffe(kCluster);
    out.entry = ca.issue(wish);
  }
  out.lease_key = lease_key;
  out.clock = &clock;
  out.resume = resume;
  out.services = services;
  return out;
}

MeshNode& MeshWorld::add(unsigned number, routing::RoleMask roles,
                         fabric::SessionHandler sessions) {
  MeshNodeSetup setup = setup_of(number, roles);
  setup.sessions = std::move(sessions);
  const bool serves = static_cast<bool>(setup.sessions);
  members_.push_back({number, roles, std::make_unique<MeshNode>(io, std::move(setup))});
  MeshNode& out = *members_.back().node;
  if (serves) {
    const Status ok = out.service_end().set_service({service, organization, service_identity()});
    if (!ok) throw std::runtime_error(ok.error().text());
  }
  return out;
}

net::TlsIdentity MeshWorld::service_identity() const {
  CertificateWish wish;
  wish.subject_alt_name = "URI:" + fabric::service_spiffe(kCluster, service);
  return ca.issue(wish);
}

MeshNode& MeshWorld::node(unsigned number) {
  for (Member& member : members_) {
    if (member.number == number) return *member.node;
  }
  throw std::runtime_error("no such node");
}

void MeshWorld::start() {
  for (Member& member : members_) member.node->start();
  give_directories();
}

void MeshWorld::give_directories() {
  std::vector<MeshMember> members;
  std::map<std::string, std::string> addresses;
  for (const Member& member : members_) {
    members.push_back({member.number, member.roles, member.node->mesh_address()});
    addresses[member.node->id()] = member.node->mesh_address();
  }
  for (const Member& member : members_) {
    member.node->set_directory(mesh_directory(members, member.number, service, organization),
                               addresses);
  }
}

fabric::CarryClaims MeshWorld::carry_claims() const {
  fabric::CarryClaims out;
  out.issuer = kCluster;
  out.target = {fabric::MeshTarget::Kind::service, service};
  out.user_id = numbered("usr_", 1);
  out.organization_id = organization;
  out.session_id = numbered("ses_", 1);
  out.issued_at = to_unix_seconds(clock.now());
  out.expires_at = out.issued_at + fabric::kCarryLifeMaxS;
  out.client_certificate_sha256 = net::parse_certificate_pem(client.certificate_pem)->sha256;
  return out;
}

fabric::LeaseClaims MeshWorld::session_claims() const {
  const fabric::CarryClaims carry = carry_claims();
  fabric::LeaseClaims out;
  out.issuer = kCluster;
  out.audience = fabric::service_spiffe(kCluster, service);
  out.user_id = carry.user_id;
  out.user_name = "Ann";
  out.issued_at = carry.issued_at;
  out.expires_at = carry.issued_at + 30;
  out.session_id = carry.session_id;
  out.organization_id = organization;
  out.resource_id = numbered("res_", 1);
  out.client_certificate_sha256 = carry.client_certificate_sha256;
  return out;
}

std::string MeshWorld::mint(const fabric::CarryClaims& claims) const {
  return fabric::mint_carry_lease(claims, lease_private_key).value();
}
std::string MeshWorld::mint(const fabric::LeaseClaims& claims) const {
  return fabric::mint_lease(claims, lease_private_key).value();
}

fabric::MeshSessionOptions MeshWorld::session() const {
  fabric::MeshSessionOptions out;
  for (const Member& member : members_) {
    if ((member.roles & mask(Role::entry_node)) != 0) {
      out.entries.push_back(member.node->entry_address());
    }
  }
  out.cluster_id = kCluster;
  out.cluster_ca_pem = ca.pem();
  out.identity = client;
  out.service = service;
  const fabric::CarryClaims carry = carry_claims();
  out.carry = {mint(carry), from_unix_seconds(carry.expires_at)};
  out.lease = mint(session_claims());
  out.resume = resume;
  return out;
}

namespace {

net::Task<void> echo_session(std::unique_ptr<fabric::IncomingSession> incoming) {
  net::ByteStreamPtr stream = co_await incoming->accept();
  incoming.reset();
  fabric::EchoLimits limits;
  limits.bytes_max = std::uint64_t{1} << 40;
  co_await fabric::serve_echo(std::move(stream), limits);
}

}  // namespace

fabric::SessionHandler echo_sessions() {
  return [](std::unique_ptr<fabric::IncomingSession> incoming) {
    return echo_session(std::move(incoming));
  };
}

}  // namespace rap::test
