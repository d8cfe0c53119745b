// What one decision costs, in a directory of 10,000 nodes: no allocation at all.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/unit/fabric/routing/decide_rig.hpp"

namespace {

std::size_t g_allocations = 0;

}  // namespace

// g++ 12 takes free() in the replaced operators for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

void* operator new(std::size_t size) {
  ++g_allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size) {
  return operator new(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace rap::routing {
namespace {

using namespace rap::test;

TEST(DecideLimits, AllocatesNothingWithTenThousandNodes) {
  std::vector<NodeEntry> nodes{node(1, 0)};
  for (unsigned i = 2; i < 1002; ++i) nodes.push_back(relay(i, i % 2 == 0 ? "eu" : "us"));
  for (unsigned i = 1002; i <= 10'000; ++i) nodes.push_back(hidden(i, {i % 1000 + 2}));
  DirectoryDoc doc = mesh(nodes);
  doc.services = {{"echo", {node_id(2000), node_id(3000), node_id(4000)}, std::nullopt}};
  doc.policy.relays_max = 3;
  DecideRig rig(doc);
  for (unsigned i = 2; i < 6; ++i) rig.up(i, 10);
  std::array<Candidate, 16> out;
  const std::string service = "echo";
  const std::string hidden_node = node_id(9'000);
  const std::string organization = org_id(1);
  const NodeIndex lost = rig.n(3);
  rig.request.organization = organization;
  rig.request.excluded_nodes = {&lost, 1};
  std::size_t count = 0;
  for (const TargetKind kind : {TargetKind::node, TargetKind::service}) {
    rig.request.kind = kind;
    rig.request.target = kind == TargetKind::node ? hidden_node : service;
    const std::size_t before = g_allocations;
    const Decision decision = decide(rig.directory, rig.measurements, rig.request, at(1'000), out);
    EXPECT_EQ(g_allocations - before, 0u);
    count += decision.count;
    rig.request.current = out[1].path;
    const std::size_t again = g_allocations;
    (void)decide(rig.directory, rig.measurements, rig.request, at(1'000), out);
    EXPECT_EQ(g_allocations - again, 0u);
    rig.request.current = {};
  }
  EXPECT_GE(count, 12u);  // both found paths
  const std::size_t before = g_allocations;
  std::vector<int>* counted = new std::vector<int>(3);  // the counter counts
  delete counted;
  EXPECT_GT(g_allocations, before);
}

}  // namespace
}  // namespace rap::routing
