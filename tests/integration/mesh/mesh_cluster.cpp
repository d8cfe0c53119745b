#include "tests/integration/mesh/mesh_cluster.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "fabric/routing/directory_doc.hpp"
#include "tests/support/run_task.hpp"

namespace rap::test {
namespace {

namespace json = boost::json;
using routing::Role;

bool contains(const std::vector<std::string>& roles, const char* role) {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

routing::RoleMask mask_of(const std::vector<std::string>& roles) {
  routing::RoleMask out = mask(Role::core_mesh);
  if (contains(roles, "relay")) out = static_cast<routing::RoleMask>(out | mask(Role::relay_node));
  if (contains(roles, "entry")) out = static_cast<routing::RoleMask>(out | mask(Role::entry_node));
  if (out == mask(Role::core_mesh)) {
    out = static_cast<routing::RoleMask>(out | mask(Role::service));
  }
  return out;
}

net::Task<bool> there_and_back(net::ByteStream& stream, std::size_t bytes) {
  Bytes back(16 * 1024);
  for (std::size_t done = 0; done < bytes; done += back.size()) {
    const Bytes piece = random_bytes(back.size());
    co_await stream.write_all(piece);
    const bool whole = co_await net::read_exact(stream, back);
    if (!whole || back != piece) co_return false;
  }
  co_return true;
}

}  // namespace

MeshCluster::MeshCluster() {
  std::string pattern = std::filesystem::temp_directory_path() / "rap-mesh-test-XXXXXX";
  folder_ = ::mkdtemp(pattern.data());
  // Whoever is nobody has to pass it.
  std::filesystem::permissions(folder_, std::filesystem::perms(0711));
  service_ = world.service_identity();
}

MeshCluster::~MeshCluster() {
  workers_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::unique_ptr<MeshWorker> MeshCluster::make(unsigned number, const Member& member) {
  return std::make_unique<MeshWorker>(test::node_id(number), member.roles, member.state);
}

MeshWorker& MeshCluster::add(std::vector<std::string> roles) {
  const auto number = static_cast<unsigned>(workers_.size() + 1);
  Member member;
  member.roles = std::move(roles);
  const auto setup = world.setup_of(number, mask_of(member.roles));
  member.identity = setup.mesh;
  member.entry = setup.entry;
  member.state = folder_ / std::to_string(number);
  std::filesystem::create_directory(member.state);
  member.worker = make(number, member);
  workers_.push_back(std::move(member));
  return at(number);
}

MeshWorker& MeshCluster::restart(unsigned number) {
  Member& member = workers_.at(number - 1);
  member.worker = make(number, member);
  return *member.worker;
}

std::string MeshCluster::access_for(unsigned number) {
  const json::object access{
      {"format", 1},
      {"cluster_id", kCluster},
      {"node_id", test::node_id(number)},
      {"lease_keys",
       {{{"kid", world.lease_key.kid}, {"public", to_hex(world.lease_key.public_key)}}}}};
  return json::serialize(access);
}

std::string MeshCluster::directory_for(unsigned self) {
  std::vector<unsigned> relays;
  for (unsigned number = 1; number <= workers_.size(); ++number) {
    if (contains(workers_[number - 1].roles, "relay")) relays.push_back(number);
  }
  std::vector<routing::NodeEntry> nodes;
  routing::GroupEntry service;
  service.name = world.service;
  service.organizations = {world.organization};
  for (unsigned number = 1; number <= workers_.size(); ++number) {
    const Member& member = workers_[number - 1];
    const bool relays_here = contains(member.roles, "relay");
    auto entry = relays_here ? relay(number) : hidden(number, relays);
    entry.roles = mask_of(member.roles);
    entry.keys = {net::parse_certificate_pem(member.identity.certificate_pem)->spki_sha256};
    if (relays_here) entry.endpoints = {member.worker->address()};
    if ((entry.roles & mask(Role::service)) != 0) service.members.push_back(entry.node_id);
    nodes.push_back(std::move(entry));
  }
  auto doc = mesh(std::move(nodes));
  doc.node_id = test::node_id(self);
  doc.version = version_;
  doc.issued_at = RealClock().now();
  doc.expires_at = doc.issued_at + std::chrono::hours(24);
  doc.services.push_back(std::move(service));
  return routing::to_json(doc);
}

void MeshCluster::tell(unsigned number) {
  const Member& member = workers_.at(number - 1);
  MeshWorker& worker = *member.worker;
  worker.snapshot("access", access_for(number));
  worker.snapshot("mesh", directory_for(number));
  worker.identity({{"kind", "mesh"}}, member.identity);
  if (contains(member.roles, "entry")) worker.identity({{"kind", "entry"}}, member.entry);
  if ((mask_of(member.roles) & mask(Role::service)) != 0) {
    worker.identity(
        {{"kind", "service"}, {"organization", world.organization}, {"service", world.service}},
        service_);
  }
}

void MeshCluster::tell_all() {
  ++version_;
  for (unsigned number = 1; number <= workers_.size(); ++number) tell(number);
}

bool MeshCluster::linked() {
  for (unsigned number = 1; number <= workers_.size(); ++number) {
    if (contains(workers_[number - 1].roles, "relay")) continue;
    const json::object report = at(number).last_report();
    const json::value* links = report.if_contains("links");
    if (links == nullptr) return false;
    for (unsigned other = 1; other <= workers_.size(); ++other) {
      if (!contains(workers_[other - 1].roles, "relay")) continue;
      const bool up = std::ranges::any_of(links->as_array(), [&](const json::value& link) {
        return link.at("peer") == json::value(test::node_id(other)) &&
               link.at("state") == json::value("up");
      });
      if (!up) return false;
    }
  }
  return true;
}

fabric::MeshSessionOptions MeshCluster::session() {
  auto options = world.session();
  for (const Member& member : workers_) {
    if (contains(member.roles, "entry")) options.entries.push_back(member.worker->address());
  }
  return options;
}

net::ByteStreamPtr MeshCluster::open() {
  auto stream =
      run_task(world.io, fabric::open_mesh_session(session(), world.clock, world.resume_clock));
  EXPECT_TRUE(stream) << stream.error().text();
  return stream ? std::move(*stream) : nullptr;
}

bool MeshCluster::echoes(net::ByteStream& stream, std::size_t bytes) {
  return run_task(world.io, there_and_back(stream, bytes));
}

double MeshCluster::metric(unsigned number, const std::string& name) {
  const json::object status = at(number).status();
  for (const json::value& metric : status.at("metrics").as_array()) {
    if (metric.at("name") == json::value(name)) return metric.at("value").to_number<double>();
  }
  return -1;
}

unsigned MeshCluster::relay_in_use() {
  for (unsigned number = 1; number <= workers_.size(); ++number) {
    const json::object health = at(number).health("relay");
    if (!health.empty() && health.at("streams").to_number<int>() > 0) return number;
  }
  return 0;
}

}  // namespace rap::test
