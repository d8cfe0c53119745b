// mesh_bench: the routing decision with 10,000 nodes in the directory, and a simulated cluster of
// 10,000 nodes that loses a tenth of its relays. One JSON object per line; devtools/bench.py makes
// the table.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "tests/bench/mesh_sim.hpp"

namespace {

std::size_t g_allocations = 0;

}  // namespace

#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // g++ 12, of the operators below
void* operator new(std::size_t size) {
  ++g_allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace {

using Clock = std::chrono::steady_clock;
using rap::bench::MeshSim;
using rap::bench::NodeIndex;
using namespace rap::routing;

constexpr std::int64_t kSettleMs = 300'000;
constexpr std::int64_t kWatchMs = 60'000;
constexpr int kPairs = 500;
constexpr int kDecisions = 20'000;
constexpr std::size_t kOrigins = 8;

template <typename Value>
Value quantile(std::vector<Value> values, double q) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<std::size_t>(static_cast<double>(values.size()) * q))];
}

void report_connections(const MeshSim& sim) {
  for (const bool relay : {false, true}) {
    std::vector<std::size_t> peers, leaves;
    for (NodeIndex i = 0; i < sim.options().nodes; ++i) {
      if (!sim.alive(i) || sim.is_relay(i) != relay) continue;
      peers.push_back(sim.set(i).active());
      leaves.push_back(sim.set(i).leaves().size());
    }
    fmt::print(
        R"({{"bench":"connections","kind":"{}","at_s":{},"p50":{},"p99":{},"max":{},"leaves_p50":{},"leaves_max":{},"dials":{}}})"
        "\n",
        relay ? "relay" : "normal", sim.now() / 1000, quantile(peers, 0.5), quantile(peers, 0.99),
        quantile(peers, 1), quantile(leaves, 0.5), quantile(leaves, 1), sim.dials());
  }
}

struct Origin {
  NodeIndex node;
  Measurements measurements;
};

// Nodes that have been told of every attachment in the cluster: some 42,000 links.
std::vector<Origin> informed(const MeshSim& sim, rap::peers::Random& random) {
  std::vector<Origin> out;
  while (out.size() < kOrigins) {
    const auto node = static_cast<NodeIndex>(random.next() % sim.options().nodes);
    Origin& origin = out.emplace_back(Origin{node, sim.measured(node)});
    for (NodeIndex a = 0; a < sim.options().nodes; ++a) {
      for (const NodeIndex b : sim.directory().attached(a)) {
        Report report;
        report.rtt_ms = sim.rtt_ms(a, b);
        report.loss_permille = 0.0F;
        report.state = LinkState::up;
        const MonoTime now{sim.now()};
        (void)origin.measurements.told(a, b, report, now, now, sim.directory().policy().decay);
      }
    }
  }
  return out;
}

// What this thread has used: other programs on the machine do not count.
double cpu_us() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

// One decision after another, each timed; `target` picks what is asked for.
void time_decisions(const MeshSim& sim, rap::peers::Random& random, const char* what,
                    bool hidden_target, bool nowhere) {
  std::array<Candidate, 8> out;
  std::vector<double> times, cpu;
  times.reserve(kDecisions);
  std::size_t found = 0, allocations = 0, wide = 0;
  const std::string nobody = "nod_zzzzzzzzzzzzzzzzzzzzzzzzzz";
  const Moment now = rap::routing::Moment{MonoTime{sim.now()}, sim.directory().issued_at()};
  const auto origins = informed(sim, random);
  while (times.size() < kDecisions) {
    const auto& [from, measurements] = origins[random.next() % origins.size()];
    const auto to = static_cast<NodeIndex>(random.next() % sim.options().nodes);
    if (from == to || sim.directory().dialable(to) == hidden_target) continue;
    const std::string target(nowhere ? nobody : std::string(sim.directory().id(to)));
    std::array<NodeIndex, 8> cut{};
    const auto attached = sim.directory().attached(to);
    std::copy(attached.begin(), attached.end(), cut.begin());
    Request request;
    request.cluster_id = sim.directory().cluster_id();
    request.origin = from;
    request.target = target;
    if (nowhere) {  // a hidden node all of whose relays are excluded: nothing serves
      request.target = sim.directory().id(to);
      request.excluded_nodes = {cut.data(), attached.size()};
    }
    const std::size_t before = g_allocations;
    const double cpu_start = cpu_us();
    const auto start = Clock::now();
    const Decision decision = decide(sim.directory(), measurements, request, now, out);
    const auto end = Clock::now();
    const double cpu_end = cpu_us();
    allocations += g_allocations - before;
    cpu.push_back(cpu_end - cpu_start);
    found += decision.count > 0 ? 1u : 0u;
    wide += decision.wide ? 1u : 0u;
    times.push_back(std::chrono::duration<double, std::micro>(end - start).count());
  }
  fmt::print(
      R"({{"bench":"decision","what":"{}","nodes":{},"links":{},"p50_us":{:.2f},"p99_us":{:.2f},"cpu_p50_us":{:.2f},"cpu_p99_us":{:.2f},"allocations":{},"found":{},"wide":{},"of":{}}})"
      "\n",
      what, sim.options().nodes, origins[0].measurements.told_count(), quantile(times, 0.5),
      quantile(times, 0.99), quantile(cpu, 0.5), quantile(cpu, 0.99), allocations, found, wide,
      kDecisions);
}

struct Pair {
  NodeIndex from, to;
};

// Shares of pairs for which any, and for which the first, of eight candidates works.
std::array<double, 2> reachable(const MeshSim& sim, const std::vector<Pair>& pairs) {
  std::array<Candidate, 8> out;
  std::size_t any = 0, first = 0;
  for (const Pair& pair : pairs) {
    const Decision decision = sim.route(pair.from, pair.to, out);
    bool works = false;
    for (std::size_t i = 0; i < decision.count; ++i) works |= sim.works(out[i].path);
    any += works ? 1u : 0u;
    first += decision.count > 0 && sim.works(out[0].path) ? 1u : 0u;
  }
  const auto all = static_cast<double>(pairs.size());
  return {static_cast<double>(any) / all, static_cast<double>(first) / all};
}

void lose_relays(MeshSim& sim, rap::peers::Random& random) {
  sim.kill_relays(sim.options().relays / 10);
  std::vector<Pair> pairs;
  while (pairs.size() < kPairs) {
    const Pair pair{static_cast<NodeIndex>(random.next() % sim.options().nodes),
                    static_cast<NodeIndex>(random.next() % sim.options().nodes)};
    if (pair.from != pair.to && sim.alive(pair.from) && sim.alive(pair.to)) pairs.push_back(pair);
  }
  const std::int64_t start = sim.now();
  const auto periods = [&](std::int64_t ms) {
    return static_cast<double>(ms - start) / static_cast<double>(sim.options().heartbeat_ms);
  };
  std::vector<double> healed;  // for each node that was hurt
  std::vector<NodeIndex> hurt;
  for (NodeIndex i = 0; i < sim.options().nodes; ++i) {
    if (sim.alive(i) && !sim.well_connected(i)) hurt.push_back(i);
  }
  const std::size_t hurt_count = hurt.size();
  double routes_any = -1, lowest = 1, lowest_first = 1;
  for (std::int64_t ms = start; ms <= start + kWatchMs; ms += 1000) {
    sim.run_until(ms);
    std::erase_if(hurt, [&](NodeIndex i) {
      if (!sim.well_connected(i)) return false;
      healed.push_back(periods(ms));
      return true;
    });
    const auto [any, first] = reachable(sim, pairs);
    lowest = std::min(lowest, any);
    if (any < 1) routes_any = -1;
    if (any == 1 && routes_any < 0) routes_any = periods(ms);
    lowest_first = std::min(lowest_first, first);
  }
  fmt::print(
      R"({{"bench":"convergence","killed":{},"heartbeat_s":{},"hurt":{},"not_healed":{},"p50":{:.2f},"p99":{:.2f},"max":{:.2f},"routes_any":{:.1f},"routes_lowest":{:.4f},"first_lowest":{:.4f},"first_end":{:.4f}}})"
      "\n",
      sim.options().relays / 10, sim.options().heartbeat_ms / 1000, hurt_count, hurt.size(),
      quantile(healed, 0.5), quantile(healed, 0.99), quantile(healed, 1), routes_any, lowest,
      lowest_first, reachable(sim, pairs)[1]);
}

}  // namespace

int main(int argc, char** argv) {
  rap::bench::SimOptions options;
  if (argc > 1) options.nodes = static_cast<unsigned>(std::atoi(argv[1]));
  options.relays = options.nodes / 10;
  MeshSim sim(options);
  rap::peers::Random random(options.seed + 1);
  sim.run_until(kSettleMs);
  report_connections(sim);
  time_decisions(sim, random, "to a node behind NAT", true, false);
  time_decisions(sim, random, "to a node that can be dialled", false, false);
  time_decisions(sim, random, "nowhere: every relay looked at", true, true);
  lose_relays(sim, random);
  report_connections(sim);
  return 0;
}
