// Heartbeats of many nodes into PostgreSQL, the way the control plane writes them.
// heartbeats_bench URL SECONDS: makes the schema in an empty database, then prints heartbeats per
// second; each is two rows, one in the log and the newest state. The peer, pgbench with single-row
// prepared upserts into the same table, is run by devtools/bench.py.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "controlplane/db/migrate.hpp"
#include "controlplane/db/sql.hpp"
#include "controlplane/nodes/heartbeats.hpp"

namespace {

using Clock = std::chrono::steady_clock;
using rap::cp::Heartbeat;

constexpr int kNodes = 10'000;
constexpr int kBatch = 250;  // what HeartbeatBatcher writes at once

const char* const kPayload =
    R"({"load":{"cpu":0.25,"memory_used_kb":812345,"memory_total_kb":16384000},"sandbox_layers":[]})";

Heartbeat heartbeat(int node) {
  Heartbeat out;
  out.node_id = fmt::format("nod_{:026}", node);
  out.cluster_id = "cls_bench";
  out.boot_id = "6b1f0c2e-0000-4000-8000-000000000001";
  out.agent_version = "0.1.0";
  out.mesh_endpoint = "10.0.0.1:7444";
  out.sent_at = out.received_at = rap::RealClock().now();
  out.payload = kPayload;
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  rap::cp::Connection connection(argv[1]);
  const auto applied = rap::cp::migrate(connection, rap::cp::embedded_migrations());
  if (!applied) {
    std::fprintf(stderr, "%s\n", applied.error().text().c_str());
    return 1;
  }
  connection.run([](rap::cp::Tx& tx) {
    tx.script(
        "insert into nodes (id, name) select 'nod_' || lpad(i::text, 26, '0'), 'n' || i"
        " from generate_series(0, 9999) i");
  });
  std::uint64_t heartbeats = 0;
  const auto start = Clock::now();
  const auto end = start + std::chrono::seconds(std::stoi(argv[2]));
  for (int first = 0; Clock::now() < end; first = (first + kBatch) % kNodes) {
    std::vector<Heartbeat> batch;
    for (int i = 0; i < kBatch; ++i) batch.push_back(heartbeat(first + i));
    connection.run([&](rap::cp::Tx& tx) { rap::cp::store_heartbeats(tx, batch); });
    heartbeats += kBatch;
  }
  const std::chrono::duration<double> took = Clock::now() - start;
  std::printf("{\"heartbeats_per_s\": %.0f}\n", static_cast<double>(heartbeats) / took.count());
  return 0;
}
