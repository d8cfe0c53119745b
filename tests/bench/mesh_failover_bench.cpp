// How long a stream pauses when the relay it goes over is killed. Entry, two relays and the service
// node are processes of their own; the relay in use gets SIGKILL and is started again.
// mesh_failover_bench [KILLS]: prints one JSON object.
// The client writes a piece every few milliseconds and compares what comes back byte for byte. The
// nodes of tests/support dial their neighbours for each stream, so a pause holds three handshakes
// that warm channels would not need.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/net/timer.hpp"
#include "tests/support/mesh_world.hpp"
#include "tests/support/run_task.hpp"

extern char** environ;

namespace {

using namespace rap;
using net::milliseconds;
using net::Task;
using routing::Role;
using Steady = std::chrono::steady_clock;
namespace json = boost::json;

constexpr unsigned kEntry = 1, kRelayA = 2, kRelayB = 3, kService = 4, kNodes = 5;
constexpr std::size_t kPieceBytes = 1024;
constexpr milliseconds kPieceEach{4};
constexpr milliseconds kRest{30};  // between a recovery and the next kill
constexpr milliseconds kGiveUp{30'000};

// What the processes tell each other, in memory that they share. Not in a file: whoever writes to a
// mapped page waits while the disk writes it out, and a slow disk would be taken for a slow mesh.
struct Board {
  std::atomic<int> ready[kNodes];
  std::atomic<int> open[kNodes];  // streams a node carries
};

Board& map_board(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  void* at = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (at == MAP_FAILED) throw std::runtime_error("mmap");
  return *static_cast<Board*>(at);
}

std::vector<test::MeshMember> members_of(const json::object& config) {
  const auto address = [&](unsigned number) {
    return std::string(config.at("mesh").as_array()[number].as_string());
  };
  return {{kEntry, mask(Role::entry_node), address(kEntry)},
          {kRelayA, mask(Role::relay_node), address(kRelayA)},
          {kRelayB, mask(Role::relay_node), address(kRelayB)},
          {kService, mask(Role::service), address(kService)}};
}

void write_or_throw(const std::string& path, const std::string& content) {
  const Status written = write_file_atomic(path, content, 0600);
  if (!written) throw std::runtime_error(written.error().text());
}

std::string text(const json::object& object, const char* key) {
  return std::string(object.at(key).as_string());
}

Task<void> report(test::MeshNode& node, std::atomic<int>& open) {
  for (;;) {
    open = static_cast<int>(node.server().counts().open);
    co_await net::sleep_for(milliseconds(2));
  }
}

// A child: one node, until it is killed.
int run_node(const std::string& folder, unsigned number) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const Bytes file = read_file(folder + "/" + std::to_string(number) + ".json", 1 << 20).value();
  const json::object config = parse_json(as_text(file)).value().as_object();
  Board& board = map_board(text(config, "board"));
  boost::asio::io_context io;
  RealClock clock;
  test::MeshNodeSetup setup;
  setup.node_id = test::node_id(number);
  setup.cluster_ca_pem = text(config, "ca");
  setup.mesh = {text(config, "mesh_certificate"), text(config, "mesh_key")};
  setup.entry = {text(config, "entry_certificate"), text(config, "entry_key")};
  const auto members = members_of(config);
  setup.mesh_address = net::parse_host_port(members[number - 1].address).value();
  setup.entry_address = net::parse_host_port(text(config, "entry")).value();
  setup.lease_key = {text(config, "kid"), from_hex(text(config, "lease_key")).value()};
  setup.clock = &clock;
  if (number == kService) setup.sessions = test::echo_sessions();
  test::MeshNode node(io, setup);
  const std::string service = text(config, "service");
  const std::string organization = text(config, "organization");
  if (number == kService) {
    const net::TlsIdentity identity{text(config, "service_certificate"),
                                    text(config, "service_key")};
    const Status ok = node.service_end().set_service({service, organization, identity});
    if (!ok) throw std::runtime_error(ok.error().text());
  }
  node.start();
  std::map<std::string, std::string> addresses;
  for (const auto& member : members) addresses[test::node_id(member.number)] = member.address;
  node.set_directory(test::mesh_directory(members, number, service, organization), addresses);
  net::TaskGroup tasks(io.get_executor());
  tasks.spawn("report", report(node, board.open[number]));
  board.ready[number] = 1;
  io.run();
  return 0;
}

class Bench {
 public:
  Bench(std::string program, std::string folder)
      : program_(std::move(program)), folder_(std::move(folder)) {
    shared_.reset(::memfd_create("failover", MFD_CLOEXEC));
    if (!shared_ || ::ftruncate(shared_.get(), sizeof(Board)) != 0) {
      throw std::runtime_error("memfd");
    }
    board_path_ = fmt::format("/proc/{}/fd/{}", ::getpid(), shared_.get());
    board_ = &map_board(board_path_);
    json::array mesh;
    for (unsigned i = 0; i < kNodes; ++i) mesh.emplace_back(free_address());
    entry_ = free_address();
    for (unsigned number = 1; number < kNodes; ++number) write_config(number, mesh);
  }
  ~Bench() {
    for (unsigned number = 1; number < kNodes; ++number) kill_node(number);
  }

  void start_node(unsigned number) {
    board_->ready[number] = 0;
    board_->open[number] = 0;
    std::string what = std::to_string(number);
    char* arguments[] = {program_.data(), const_cast<char*>("--node"), folder_.data(), what.data(),
                         nullptr};
    if (::posix_spawn(&pids_[number], program_.c_str(), nullptr, nullptr, arguments, environ) != 0)
      throw std::runtime_error("posix_spawn");
  }
  void kill_node(unsigned number) {
    if (pids_[number] <= 0) return;
    ::kill(pids_[number], SIGKILL);
    ::waitpid(pids_[number], nullptr, 0);
    pids_[number] = 0;
  }
  Task<void> until_ready(unsigned number) {
    const auto until = Steady::now() + kGiveUp;
    while (board_->ready[number] == 0) {
      if (Steady::now() > until) throw std::runtime_error("a node does not start");
      co_await net::sleep_for(milliseconds(2));
    }
  }
  // The relay that carries the stream; 0: none now.
  unsigned in_use() const {
    for (const unsigned number : {kRelayA, kRelayB}) {
      if (pids_[number] > 0 && board_->open[number] > 0) return number;
    }
    return 0;
  }
  fabric::MeshSessionOptions session() const {
    auto options = world_.session();
    options.entries = {entry_};
    options.resume = fabric::client_resume_limits();
    return options;
  }
  test::MeshWorld& world() { return world_; }

 private:
  std::string free_address() {
    const net::HostPort any{"127.0.0.1", 0};
    auto listener = net::Listener::bind(world_.io.get_executor(), any).value();
    return listener->local_address().text();
  }
  void write_config(unsigned number, const json::array& mesh) {
    const auto roles = number == kEntry ? mask(Role::entry_node) : mask(Role::relay_node);
    const test::MeshNodeSetup setup = world_.setup_of(number, roles);
    const net::TlsIdentity service = world_.service_identity();
    json::object out;
    out["board"] = board_path_;
    out["mesh"] = mesh;
    out["entry"] = entry_;
    out["ca"] = setup.cluster_ca_pem;
    out["mesh_certificate"] = setup.mesh.certificate_pem;
    out["mesh_key"] = setup.mesh.key_pem;
    out["entry_certificate"] = setup.entry.certificate_pem;
    out["entry_key"] = setup.entry.key_pem;
    out["service_certificate"] = number == kService ? service.certificate_pem : "";
    out["service_key"] = number == kService ? service.key_pem : "";
    out["kid"] = setup.lease_key.kid;
    out["lease_key"] = to_hex(setup.lease_key.public_key);
    out["service"] = world_.service;
    out["organization"] = world_.organization;
    const std::string content = json::serialize(out);
    write_or_throw(folder_ + "/" + std::to_string(number) + ".json", content);
  }

  std::string program_;
  std::string folder_;
  test::MeshWorld world_;
  Fd shared_;
  std::string board_path_;
  Board* board_ = nullptr;
  std::string entry_;
  pid_t pids_[kNodes] = {};
};

// The same bytes for the one who writes them and the one who checks what comes back.
class Pieces {
 public:
  void next(Bytes& piece) {
    for (std::uint8_t& byte : piece) byte = static_cast<std::uint8_t>(random_());
  }

 private:
  std::mt19937 random_{7};
};

struct Flow {
  bool stop = false;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  bool bent = false;  // something came that was not sent: lost, doubled or damaged
  Steady::time_point heard = Steady::now();
};

Task<void> write_pieces(net::ByteStream& stream, std::shared_ptr<Flow> flow) {
  Pieces pieces;
  Bytes piece(kPieceBytes);
  while (!flow->stop) {
    pieces.next(piece);
    co_await stream.write_all(piece);
    flow->sent += piece.size();
    co_await net::sleep_for(kPieceEach);
  }
  co_await stream.shutdown();
}

Task<void> read_pieces(net::ByteStream& stream, std::shared_ptr<Flow> flow) {
  Pieces pieces;
  Bytes wanted(kPieceBytes);
  Bytes piece(kPieceBytes);
  for (;;) {
    std::size_t got = 0;
    while (got < piece.size()) {
      const std::size_t n = co_await stream.read_some(std::span(piece).subspan(got));
      if (n == 0) co_return;
      got += n;
      flow->received += n;
      flow->heard = Steady::now();
    }
    pieces.next(wanted);
    if (piece != wanted) flow->bent = true;
  }
}

double ms_since(Steady::time_point begin) {
  return std::chrono::duration<double, std::milli>(Steady::now() - begin).count();
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values.at(static_cast<std::size_t>(q * static_cast<double>(values.size() - 1)));
}

Task<void> kill_and_measure(Bench& bench, std::shared_ptr<Flow> flow, int kills,
                            std::vector<double>& pauses) {
  while (static_cast<int>(pauses.size()) < kills) {
    co_await net::sleep_for(kRest);
    const unsigned relay = bench.in_use();
    if (relay == 0) continue;
    const auto begun = Steady::now();
    bench.kill_node(relay);
    // What was under way behind the relay may still arrive: the pause is over when a piece that was
    // written after the kill is back.
    const std::uint64_t mark = flow->sent + kPieceBytes;
    while (flow->received < mark) {
      if (ms_since(begun) > 30'000) throw std::runtime_error("the stream does not go on");
      co_await net::sleep_for(milliseconds(1));
    }
    pauses.push_back(ms_since(begun));
    bench.start_node(relay);
    co_await bench.until_ready(relay);
  }
}

Task<void> measure(Bench& bench, int kills) {
  auto executor = co_await net::asio::this_coro::executor;
  for (unsigned number = 1; number < kNodes; ++number) bench.start_node(number);
  for (unsigned number = 1; number < kNodes; ++number) co_await bench.until_ready(number);
  test::MeshWorld& world = bench.world();
  auto opened =
      co_await fabric::open_mesh_session(bench.session(), world.clock, world.resume_clock);
  if (!opened) throw std::runtime_error(opened.error().text());
  net::ByteStreamPtr stream = std::move(*opened);
  auto flow = std::make_shared<Flow>();
  net::TaskGroup tasks(executor);
  tasks.spawn("write", write_pieces(*stream, flow));
  tasks.spawn("read", read_pieces(*stream, flow));
  std::vector<double> pauses;
  co_await kill_and_measure(bench, flow, kills, pauses);
  flow->stop = true;
  co_await tasks.drain(milliseconds(10'000));
  const std::uint64_t lost = flow->sent > flow->received ? flow->sent - flow->received : 0;
  const std::uint64_t doubled = flow->received > flow->sent ? flow->received - flow->sent : 0;
  fmt::print(R"({{"what":"failover","kills":{},"p50_ms":{:.1f},"p99_ms":{:.1f},"max_ms":{:.1f},)"
             R"("bytes":{},"lost":{},"doubled":{},"bent":{}}})"
             "\n",
             pauses.size(), quantile(pauses, 0.5), quantile(pauses, 0.99), quantile(pauses, 1.0),
             flow->sent, lost, doubled, flow->bent);
}

}  // namespace

int main(int argc, char** argv) {
  log::set_level(log::Level::error);
  if (argc == 4 && std::string_view(argv[1]) == "--node") {
    return run_node(argv[2], static_cast<unsigned>(std::atoi(argv[3])));
  }
  const int kills = argc > 1 ? std::atoi(argv[1]) : 1'000;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  std::string folder = (std::filesystem::temp_directory_path() / "rap-failover-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  int result = 0;
  try {
    Bench bench(program, folder);
    bool ended = false;
    std::exception_ptr thrown;
    net::TaskGroup tasks(bench.world().io.get_executor());
    const auto run = [](Bench& b, int k, bool& done, std::exception_ptr& error) -> Task<void> {
      try {
        co_await measure(b, k);
      } catch (...) {
        error = std::current_exception();
      }
      done = true;
    };
    tasks.spawn("measure", run(bench, kills, ended, thrown));
    while (!ended && bench.world().io.run_one() > 0) {
    }
    if (thrown) std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mesh_failover_bench: %s\n", error.what());
    result = 1;
  }
  std::filesystem::remove_all(folder);
  return result;
}
