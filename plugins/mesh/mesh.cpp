#include "plugins/mesh/mesh.hpp"

#include <time.h>

#include <algorithm>

#include <boost/asio/post.hpp>
#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "base/net/net_error.hpp"
#include "base/net/pump.hpp"
#include "base/net/timer.hpp"
#include "base/secret.hpp"
#include "fabric/node/mesh_report.hpp"
#include "fabric/relay/splice.hpp"

namespace rap::mesh {

using fabric::MeshNode;
using net::milliseconds;
using net::NetError;
using net::Task;

namespace {

// Changes of links are reported at once, and at most once a second (mesh-control.md): so often it
// is looked. Everything is said again, because a report that meets no agent is lost.
constexpr milliseconds kLookEvery{1'000};
constexpr std::chrono::seconds kReportEvery{15};
// rap/ext/mesh.h promises an answer after 10 s; beyond it the host has another trouble.
constexpr milliseconds kAnswerMax{15'000};

fabric::MeshNodeSetup node_setup(const IoThread& thread, const MeshSetup& setup,
                                 fabric::SessionHandler sessions) {
  fabric::MeshNodeSetup out;
  out.cluster_id = setup.access.cluster_id;
  out.node_id = setup.access.node_id;
  const Bytes random = random_bytes(sizeof out.seed);
  std::copy(random.begin(), random.end(), reinterpret_cast<std::uint8_t*>(&out.seed));
  out.caches = setup.caches;
  out.clock = &thread.clock;
  out.resume_clock = &thread.resume_clock;
  out.sessions = std::move(sessions);
  return out;
}

std::chrono::nanoseconds cpu_time_of_this_thread() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// What the agent's silence is to the person.
Error silence() {
  return {Errc::unavailable, "the node's agent does not answer; try again"};
}

}  // namespace

GivenIdentity::~GivenIdentity() {
  wipe(identity.key_pem);
}

Mesh::Mesh(IoThread& thread, MeshSetup setup, Upward& up, Board& board)
    : thread_(thread),
      setup_(std::move(setup)),
      up_(up),
      board_(board),
      node_(thread.executor(),
            node_setup(thread, setup_,
                       [this](std::unique_ptr<fabric::IncomingSession> incoming) {
                         return hand_up(std::move(incoming));
                       })),
      boot_id_(to_hex(random_bytes(16))),
      leaving_(thread.executor()),
      tasks_(thread.executor()) {
  tasks_.spawn("mesh looks", keep_looking());
}

// ---- what it is given ----

void Mesh::note(const std::string& what, const Status& done) {
  if (done) {
    troubles_.erase(what);
  } else {
    log::warn("mesh: what the node gave is refused",
              {{"detail", what}, {"error", done.error().text()}});
    troubles_[what] = what + ": " + std::string(name(done.error().code));
  }
  look();
}

void Mesh::set_lease_keys(const std::vector<fabric::LeaseKey>& keys) {
  note("lease keys", node_.set_lease_keys(keys));
}

void Mesh::set_directory(std::string json) {
  tasks_.spawn("mesh directory", take_directory(std::move(json)));
}

Task<void> Mesh::take_directory(std::string json) {
  auto read = [text = std::move(json)] { return MeshNode::read_directory(text); };
  auto directory = co_await net::run_blocking(pool_, std::move(read));
  Status done;
  if (directory) {
    done = node_.set_directory(std::move(*directory));
  } else {
    done = fail(directory.error());
  }
  start_when_ready();
  note("peer directory", done);
}

void Mesh::set_identity(const GivenIdentityPtr& given) {
  if (given == nullptr) {
    identity_ = false;
    node_.clear_identity();
    return note("mesh certificate", {});
  }
  const std::string uri = fabric::mesh_spiffe(setup_.access.cluster_id, setup_.access.node_id);
  auto authority = authority_of_chain(given->identity.certificate_pem, uri, thread_.clock.now());
  Status done =
      authority ? node_.set_identity(given->identity, *authority) : Status(fail(authority.error()));
  if (done) identity_ = true;
  start_when_ready();
  note("mesh certificate", done);
}

void Mesh::set_entry(const GivenIdentityPtr& given) {
  if (given == nullptr) {
    entry_ = false;
    node_.clear_entry();
    return note("entry certificate", {});
  }
  const std::string uri = fabric::entry_spiffe(setup_.access.cluster_id);
  auto authority = authority_of_chain(given->identity.certificate_pem, uri, thread_.clock.now());
  Status done = authority ? node_.set_entry(given->identity) : Status(fail(authority.error()));
  if (done) {
    entry_ = true;
    last_.entry_drains = false;
  }
  note("entry certificate", done);
}

void Mesh::set_service(const std::string& organization, const std::string& service,
                       const GivenIdentityPtr& given) {
  const auto known = services_.find(organization);
  if (known != services_.end() && (given == nullptr || known->second != service)) {
    node_.service_end().remove_service(known->second);
    services_.erase(known);
  }
  const std::string what = "service certificate";
  if (given == nullptr) return note(what, {});
  const std::string uri = fabric::service_spiffe(setup_.access.cluster_id, service);
  auto authority = authority_of_chain(given->identity.certificate_pem, uri, thread_.clock.now());
  fabric::ServiceConfig config{service, organization, given->identity};
  Status done = authority ? node_.service_end().set_service(std::move(config))
                          : Status(fail(authority.error()));
  if (done) services_[organization] = service;
  note(what, done);
}

void Mesh::start_when_ready() {
  if (started_ || !identity_ || node_.directory() == nullptr) return;
  started_ = true;
  node_.start();
}

void Mesh::start_relay() {
  last_.relay_drains = false;
  node_.set_relaying(MeshNode::Relaying::yes);
  look();
}

// ---- streams ----

void Mesh::accept(Fd connection) {
  auto socket = net::wrap_socket(thread_.executor(), std::move(connection));
  tasks_.spawn("mesh connection", node_.accept(std::move(socket)));
}

Task<void> Mesh::hand_up(std::unique_ptr<fabric::IncomingSession> incoming) {
  struct Asked {
    explicit Asked(net::asio::any_io_executor executor) : done(executor) {}
    std::optional<Status> answer;
    net::Event done;
  };
  const auto executor = thread_.executor();
  const auto asked = std::make_shared<Asked>(executor);
  std::optional<net::StreamPair> pair;
  try {
    pair = net::make_stream_pair(executor);
  } catch (const NetError& error) {
    log::error("mesh: no socket for a session", {{"error", error.what()}});
  }
  if (!pair) {
    Error why{Errc::exhausted, "the node has no room for another stream"};
    co_await incoming->refuse(std::move(why));
    co_return;
  }
  auto answer = [asked, executor](Status status) {
    net::asio::post(executor, [asked, status = std::move(status)] {
      asked->answer = status;
      asked->done.set();
    });
  };
  const auto claims = fabric::lease_claims_to_json(incoming->claims());
  up_.deliver(std::move(pair->there), boost::json::serialize(claims), std::move(answer));
  (void)co_await asked->done.wait_for(kAnswerMax);
  if (!asked->answer || !*asked->answer) {
    Error why = asked->answer ? asked->answer->error() : silence();
    if (why.code == Errc::timeout) why = silence();
    co_await incoming->refuse(std::move(why));
    co_return;
  }
  std::shared_ptr<net::ByteStream> stream = co_await incoming->accept();
  incoming.reset();
  net::PumpCounts counts;
  struct Count {
    std::uint64_t& total;
    const net::PumpCounts& counts;
    ~Count() { total += counts.up + counts.down; }
  } count{ended_bytes_, counts};
  std::shared_ptr<net::ByteStream> here = std::move(pair->here);
  co_await net::pump(std::move(stream), std::move(here), counts);
}

void Mesh::drop(const std::string& session, const std::string& organization) {
  if (!session.empty()) node_.service_end().close_session(session);
  if (!organization.empty()) node_.service_end().close_organization(organization);
}

void Mesh::open(std::string target, routing::ChannelClass channel_class, milliseconds timeout,
                std::function<void(Result<Fd>)> done) {
  tasks_.spawn("mesh own stream",
               open_own(std::move(target), channel_class, timeout, std::move(done)));
}

Task<Result<Fd>> Mesh::socket_to(std::string target, routing::ChannelClass channel_class) {
  using Answer = Result<Fd>;
  fabric::MeshTarget to{fabric::MeshTarget::Kind::node, std::move(target)};
  auto stream = co_await node_.open_own(std::move(to), channel_class);
  if (!stream) co_return Answer(fail(stream.error()));
  auto pair = net::make_stream_pair(thread_.executor());
  (void)fabric::splice_socket(thread_.executor(), std::move(*stream), std::move(pair.here), {});
  co_return Answer(std::move(pair.there));
}

Task<void> Mesh::open_own(std::string target, routing::ChannelClass channel_class,
                          milliseconds timeout, std::function<void(Result<Fd>)> done) {
  std::optional<Error> failure;
  try {
    auto socket = co_await net::with_deadline(socket_to(std::move(target), channel_class), timeout);
    done(std::move(socket));
  } catch (const NetError& error) {
    if (error.code() == Errc::cancelled) throw;
    failure = error.error();
  }
  if (failure) done(fail(failure->code, "the way could not be set up"));
}

// ---- what it tells ----

Task<void> Mesh::keep_looking() {
  for (;;) {
    measure_load();
    look();
    co_await net::sleep_for(kLookEvery);
  }
}

// How much of one core the mesh's thread takes, smoothed over some ten seconds: when that is full,
// so is the node.
void Mesh::measure_load() {
  const auto now = std::chrono::steady_clock::now();
  const auto cpu = cpu_time_of_this_thread();
  const auto wall = now - std::exchange(load_.at, now);
  const auto used = cpu - std::exchange(load_.cpu, cpu);
  if (wall <= wall.zero() || wall > std::chrono::minutes(1)) return;  // the first one
  const double fresh = 1'000.0 * static_cast<double>(used.count()) /
                       static_cast<double>(std::chrono::nanoseconds(wall).count());
  load_.permille += (std::clamp(fresh, 0.0, 1'000.0) - load_.permille) / 8;
}

void Mesh::look() {
  const fabric::MeshNodeFacts facts = node_.facts();
  Picture now = last_;  // who drains
  const bool directory = node_.directory() != nullptr;
  now.trouble = troubles_.empty() ? "" : troubles_.begin()->second;
  now.health = std::string(peers::name(facts.health));
  now.ready = identity_ && directory;
  now.alone = now.ready && facts.peers == 0 && node_.directory()->size() > 1;
  now.entry = entry_;
  now.peers = facts.peers;
  now.links = facts.links.size();
  now.people = facts.clients;
  now.sessions = facts.services.streams;
  now.entered = facts.streams.open - facts.streams.relaying;
  now.relayed = facts.streams.relaying;
  now.opened = facts.services.opened;
  now.resumed = facts.services.resumed;
  now.refused = 0;
  for (const auto* counts : {&facts.refused, &facts.streams.refused, &facts.services.refused}) {
    for (const auto& [reason, count] : *counts) now.refused += count;
  }
  now.carried = facts.carried;
  now.ended = ended_bytes_;
  const bool news = now.trouble != last_.trouble || now.ready != last_.ready ||
                    now.alone != last_.alone || now.entry != last_.entry;
  last_ = now;
  board_.write(std::move(now));
  if (news) up_.health_changed();
  if (last_.ready) report(facts);
}

void Mesh::report(const fabric::MeshNodeFacts& facts) {
  fabric::MeshReportHead head;
  head.boot_id = boot_id_;
  head.seq = seq_ + 1;
  head.endpoints = setup_.endpoints;
  head.load_permille = static_cast<int>(load_.permille);
  head.draining = last_.core_drains;
  const auto mono = std::chrono::duration_cast<routing::MonoTime>(
      std::chrono::steady_clock::now().time_since_epoch());
  const auto text =
      fabric::mesh_report(head, facts.links, *node_.directory(), node_.measurements(), mono);
  std::string gist = fabric::mesh_report_gist(text);
  const auto now = std::chrono::steady_clock::now();
  const auto since = now - reported_;
  if (since < kReportEvery && (gist == gist_ || since < kLookEvery)) return;
  reported_ = now;
  gist_ = std::move(gist);
  ++seq_;
  up_.report(boost::json::serialize(text));
}

// ---- the end ----

void Mesh::drain(milliseconds grace) {
  last_.core_drains = true;
  leaving_.spawn("mesh drains", node_.drain(grace));
  look();
}

void Mesh::drain_entry() {
  last_.entry_drains = true;
  entry_ = false;
  node_.clear_entry();
  node_.say_goodbye_to_people();
  look();
}

void Mesh::drain_relay() {
  last_.relay_drains = true;
  node_.set_relaying(MeshNode::Relaying::no);
  look();
}

void Mesh::end_entry() {
  drain_entry();
  node_.cut_people();
}

void Mesh::end_relay() {
  drain_relay();
  node_.cut_relayed();
}

Task<void> Mesh::end() {
  co_await leaving_.drain(milliseconds(0));
  co_await node_.drain(milliseconds(0));
  co_await tasks_.drain(milliseconds(0));
}

}  // namespace rap::mesh
