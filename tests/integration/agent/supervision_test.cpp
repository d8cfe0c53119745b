// The agent's supervision with real workers: start, fork, crash, restart of the agent, changed
// artifact.
#include <fcntl.h>
#include <poll.h>

#include "tests/integration/agent/supervision_rig.hpp"

namespace rap::agent {
namespace {

TEST_F(Supervision, StartsForksAndEndsEverything) {
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << life.workloads.report().at(0).detail;
  EXPECT_GT(life.workloads.report().at(0).pid, 0);
  EXPECT_FALSE(life.workloads.sandbox_layers().empty());
  const std::string session = SessionId::fresh().str();
  const Fd stream = open_session(life, session, "open");
  EXPECT_TRUE(greets(life, stream));
  EXPECT_EQ(life.broker->size(), 1u);
  EXPECT_GT(life.events.waiting(), 0u);

  net::asio::co_spawn(life.io, life.broker->stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return life.broker->size() == 0; }));
  net::asio::co_spawn(life.io, life.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::stopped; }));
  EXPECT_TRUE(fs::is_empty(config_.run_dir / "instances"));
}

TEST_F(Supervision, TheNextAgentFindsTheSameSession) {
  const std::string session = SessionId::fresh().str();
  int zygote_pid = 0;
  {
    Life first(config_, 1);
    begin(first);
    ASSERT_TRUE(running(first)) << first.workloads.report().at(0).detail;
    zygote_pid = first.workloads.report().at(0).pid;
    const Fd stream = open_session(first, session, "open");
    ASSERT_TRUE(greets(first, stream));
  }  // gone without a word, as after kill -9
  Life second(config_, 2);
  std::vector<std::string> damaged;
  const auto records = second.context.records.read_all(damaged);
  ASSERT_EQ(records.size(), 2u);
  for (const InstanceRecord& record : records) {
    if (record.kind == InstanceKind::zygote) second.workloads.adopt(record, applied_.get());
  }
  for (const InstanceRecord& record : records) {
    if (record.kind == InstanceKind::session) second.broker->adopt(record);
  }
  begin(second);
  ASSERT_TRUE(running(second)) << second.workloads.report().at(0).detail;
  EXPECT_EQ(second.workloads.report().at(0).pid, zygote_pid);
  EXPECT_EQ(second.context.counters.process_starts, 0u);
  const Fd stream = open_session(second, session, "attach");
  EXPECT_TRUE(greets(second, stream));
  net::asio::co_spawn(second.io, second.broker->stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(second.until([&] { return second.broker->size() == 0; }));
  net::asio::co_spawn(second.io, second.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(second.until([&] { return state_of(second) == WorkloadState::stopped; }));
}

std::vector<fs::path> named_pipes(const fs::path& directory) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.is_fifo()) out.push_back(entry.path());
  }
  return out;
}

TEST_F(Supervision, ThePipeOfAProcessIsNotCalledALogAndThatOfAnOlderReleaseIsReadOn) {
  {
    Life first(config_, 1);
    begin(first);
    ASSERT_TRUE(running(first)) << first.workloads.report().at(0).detail;
  }
  const auto pipes = named_pipes(config_.run_dir);
  ASSERT_EQ(pipes.size(), 1u);
  EXPECT_EQ(pipes[0].extension(), ".pipe");
  fs::path old_name = pipes[0];
  fs::rename(pipes[0], old_name.replace_extension(".log"));  // as release 0.1.0 called it

  Life second(config_, 2);
  std::vector<std::string> damaged;
  for (const InstanceRecord& record : second.context.records.read_all(damaged)) {
    second.workloads.adopt(record, applied_.get());
  }
  begin(second);
  ASSERT_TRUE(running(second)) << second.workloads.report().at(0).detail;
  EXPECT_EQ(second.context.counters.process_starts, 0u);
  const auto before = second.context.counters.log_lines;
  const Fd printing(::open(old_name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_EQ(::write(printing.get(), "a word\n", 7), 7);
  EXPECT_TRUE(second.until([&] { return second.context.counters.log_lines > before; }));
  stop_everything(second);
}

net::Task<bool> fork_unnoted(std::shared_ptr<Zygote> zygote, std::string session, Fd listening,
                             Fd& pidfd) {
  auto forked = co_await zygote->fork(session, std::move(listening));
  if (forked) pidfd = std::move(*forked);
  co_return forked.has_value();
}

TEST_F(Supervision, ASessionNobodyNotedEndsWithTheNextAgent) {
  const std::string known = SessionId::fresh().str();
  const std::string lost = SessionId::fresh().str();
  Fd pidfd;
  {
    Life first(config_, 1);
    begin(first);
    ASSERT_TRUE(running(first)) << first.workloads.report().at(0).detail;
    ASSERT_TRUE(greets(first, open_session(first, known, "open")));
    auto zygote = first.workloads.find(role_, organization_);
    ASSERT_TRUE(zygote);
    auto listening = ipc::listen_at((dir_.path() / "lost.sock").string());
    ASSERT_TRUE(first.wait(fork_unnoted(*zygote, lost, std::move(*listening), pidfd)));
  }  // killed before it wrote the pid
  Life second(config_, 2);
  std::vector<std::string> damaged;
  const auto records = second.context.records.read_all(damaged);
  for (const InstanceRecord& record : records) {
    if (record.kind == InstanceKind::zygote) second.workloads.adopt(record, applied_.get());
  }
  for (const InstanceRecord& record : records) {
    if (record.kind == InstanceKind::session) second.broker->adopt(record);
  }
  begin(second);
  ASSERT_TRUE(running(second)) << second.workloads.report().at(0).detail;
  pollfd ended{pidfd.get(), POLLIN, 0};
  // Sooner than it would leave by itself, which is after 15 s.
  EXPECT_TRUE(second.until([&] { return ::poll(&ended, 1, 0) == 1; }, 5s));
  EXPECT_TRUE(greets(second, open_session(second, known, "attach")));
  net::asio::co_spawn(second.io, second.broker->stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(second.until([&] { return second.broker->size() == 0; }));
  stop_everything(second);  // refused as long as a session is left
}

TEST_F(Supervision, WhoIsBarredIsDroppedFromTheSessionAndNotLetInAgain) {
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << life.workloads.report().at(0).detail;
  const std::string session = SessionId::fresh().str();
  const Fd opener = open_session(life, session, "open", "usr_1");
  ASSERT_TRUE(greets(life, opener));
  const Fd guest = open_session(life, session, "attach", "usr_2");  // takes over
  ASSERT_TRUE(greets(life, guest));
  const std::set<std::pair<std::string, std::string>> wish{{session, "usr_2"}};
  life.broker->bar(wish);
  std::string got;
  EXPECT_TRUE(life.until([&] {
    std::array<char, 4096> buffer;
    const ssize_t n = ::recv(guest.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n > 0) got.append(buffer.data(), static_cast<std::size_t>(n));
    return n == 0;
  })) << got;
  EXPECT_NE(got.find("\"forbidden\""), std::string::npos) << got;
  EXPECT_TRUE(life.until([&] { return life.broker->report().at(0).state == "detached"; }));
  // With a lease that is still good; the session is there for the others.
  const auto refused = life.context.counters.streams_refused;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Fd again(ends[0]);
  life.broker->on_stream(7, claims_of(session, "attach", "usr_2"), "", Fd(ends[1]));
  EXPECT_TRUE(life.until([&] { return life.context.counters.streams_refused > refused; }));
  EXPECT_TRUE(greets(life, open_session(life, session, "attach", "usr_1")));
  // They are back.
  life.broker->bar({});
  EXPECT_TRUE(greets(life, open_session(life, session, "attach", "usr_2")));
  net::asio::co_spawn(life.io, life.broker->stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return life.broker->size() == 0; }));
  stop_everything(life);
}

TEST_F(Supervision, AKilledWorkerIsStartedAgainAndItsSessionReported) {
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << life.workloads.report().at(0).detail;
  const std::string session = SessionId::fresh().str();
  const Fd stream = open_session(life, session, "open");
  ASSERT_TRUE(greets(life, stream));
  const int pid = life.workloads.report().at(0).pid;
  const auto kept = life.context.counters.events_kept;
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_TRUE(life.until([&] {
    return state_of(life) == WorkloadState::running && life.workloads.report().at(0).pid != pid;
  })) << life.workloads.report().at(0).detail;
  // The zygote was the first process of its namespace: the session died with it, and that is said.
  EXPECT_TRUE(life.until([&] { return life.broker->size() == 0; }));
  EXPECT_GT(life.context.counters.events_kept, kept);
  net::asio::co_spawn(life.io, life.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::stopped; }));
}

TEST_F(Supervision, AFlippedByteIsRefusedAndAskedForAgain) {
  std::string bytes = read_text_file(artifact(), 64 << 20).value();
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(write_file_atomic(artifact(), bytes, 0400));
  Life life(config_, 1);
  begin(life);
  EXPECT_TRUE(life.until([&] { return life.artifact_bad > 0; }));
  EXPECT_EQ(life.context.counters.process_starts, 0u);
  EXPECT_FALSE(fs::exists(artifact()));
  put_artifact();  // as the next sync does
  life.workloads.retry_failed();
  EXPECT_TRUE(running(life)) << life.workloads.report().at(0).detail;
  net::asio::co_spawn(life.io, life.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::stopped; }));
}

TEST_F(Supervision, AFullDiskDelaysEventsAndLosesNone) {
  Life life(config_, 1);
  begin(life);
  ASSERT_TRUE(running(life)) << life.workloads.report().at(0).detail;
  const std::string session = SessionId::fresh().str();
  Fd stream = open_session(life, session, "open");
  ASSERT_TRUE(greets(life, stream));
  ASSERT_TRUE(life.until([&] { return life.events.waiting() >= 3; }));  // opening, active, attached
  const std::string before = read_text_file(outbox_file(), 1 << 20).value();
  {
    const FullDisk full(before.size() + 10);
    stream = Fd();
    EXPECT_TRUE(life.until([&] { return !life.events.disk_trouble().empty(); }));
    (void)life.wait(closing(life, session));
    // The worker waits two seconds for its events to be acknowledged, and leaves.
    EXPECT_TRUE(life.until([&] { return life.broker->size() == 0; }));
    EXPECT_EQ(read_text_file(outbox_file(), 1 << 20).value(), before) << "nor half a line";
    EXPECT_FALSE(life.events.disk_trouble().empty());
  }
  EXPECT_TRUE(life.until([&] { return life.events.disk_trouble().empty(); }));
  const std::string after = read_text_file(outbox_file(), 1 << 20).value();
  const auto detached = after.find("\"kind\":\"detached\"");
  EXPECT_NE(detached, std::string::npos) << after;
  EXPECT_NE(after.find("\"state\":\"closed\"", detached), std::string::npos) << after;
  EXPECT_EQ(life.events.dropped(), 0u);
  net::asio::co_spawn(life.io, life.workloads.stop_all(), [](std::exception_ptr) {});
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::stopped; }));
}

TEST_F(Supervision, AWorkerThatCannotStartIsGivenUpAndSaidSo) {
  config_.worker_path = "/bin/false";
  config_.restarts_max = 2;
  Life life(config_, 1);
  begin(life);
  EXPECT_TRUE(life.until([&] { return state_of(life) == WorkloadState::failed; }));
  EXPECT_NE(life.workloads.report().at(0).detail.find("given up"), std::string::npos);
}

}  // namespace
}  // namespace rap::agent
