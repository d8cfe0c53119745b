#include "host/agent/supervise/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "host/agent/node/facts.hpp"
#include "host/agent/version.hpp"

namespace rap::agent {
namespace asio = net::asio;
namespace {

// What a process may send. The limits in rap-worker itself hold only for code that keeps to them.
// A session tells some events when people come and go, each of which is written to disk on the
// agent's thread; after a new hello up to 256 at once. A zygote passes on what up to 512 sessions
// print. The listener speaks for all clients and runs no foreign code.
ipc::MessageRate rate_of(InstanceKind kind) {
  if (kind == InstanceKind::session) return {20, 300};
  if (kind == InstanceKind::zygote) return {500, 1'000};
  return {2'000, 4'000};
}

// A plugin has at most 16 streams, and asks for a secret beside them. The listener holds at most
// 1024 connections.
std::size_t asked_max(InstanceKind kind) {
  return kind == InstanceKind::listener ? 1'024 : 24;
}

}  // namespace

std::uint64_t random_number() {
  std::uint64_t out = 0;
  for (const std::uint8_t byte : random_bytes(sizeof out)) out = out << 8 | byte;
  return out;
}

std::string new_nonce() {
  return to_hex(random_bytes(16));
}

Process::Process(Context& context, InstanceRecord record, OnMessage on_message)
    : context_(context),
      record_(std::move(record)),
      on_message_(std::move(on_message)),
      budget_(std::make_shared<ipc::MessageBudget>(rate_of(record_.kind),
                                                   std::chrono::steady_clock::now())),
      asked_max_(asked_max(record_.kind)),
      exited_(context.executor),
      disconnected_(context.executor),
      self_(std::make_shared<Process*>(this)) {
  record_.boot_id = context.boot_id;
}

Process::~Process() {
  *self_ = nullptr;
}

Result<Fd> Process::prepare() {
  // The record comes first: a process without one could never be found again.
  if (Status written = context_.records.write(record_); !written) {
    return fail(std::move(written.error()));
  }
  auto listening = ipc::listen_at(context_.run.socket(record_.name).string());
  if (!listening) forget();
  return listening;
}

Status Process::started(Fd pidfd) {
  pidfd_ = std::move(pidfd);
  record_.pid = pid_of(pidfd_.get());
  record_.start_time = process_start_time(record_.pid).value_or(0);
  ++context_.counters.process_starts;
  watch();
  return context_.records.write(record_);
}

Status Process::start(LogCapture& logs, const std::filesystem::path& program,
                      std::vector<std::pair<int, int>> extra,
                      const std::vector<std::string>& flags) {
  auto listening = prepare();
  if (!listening) return fail(std::move(listening.error()));
  auto log = logs.open({record_.name, record_.product, record_.organization});
  if (!log) {
    forget();
    return fail(std::move(log.error()));
  }
  SpawnRequest request;
  request.program = program;
  request.arguments = {"--instance", record_.name};
  request.arguments.insert(request.arguments.end(), flags.begin(), flags.end());
  request.descriptors = std::move(extra);
  request.descriptors.emplace_back(3, listening->get());
  request.descriptors.emplace_back(5, log->get());
  request.log = log->get();
  auto spawned = spawn(request);
  if (!spawned) {
    forget();
    return fail(std::move(spawned.error()));
  }
  return started(std::move(spawned->pidfd));
}

Result<std::unique_ptr<Process>> Process::adopted(Context& context, InstanceRecord record,
                                                  OnMessage on_message) {
  auto process = std::make_unique<Process>(context, std::move(record), std::move(on_message));
  if (Status done = process->adopt(); !done) {
    process->forget();
    return fail(std::move(done.error()));
  }
  return process;
}

Status Process::adopt() {
  if (record_.pid == 0) return fail(Errc::not_found, "no pid was noted");
  auto pidfd = open_pidfd(record_.pid);
  if (!pidfd) return fail(std::move(pidfd.error()));
  // Between the note and the descriptor the pid may have become another process's.
  if (!is_running(record_, context_.boot_id)) return fail(Errc::not_found, "it has ended");
  pidfd_ = std::move(*pidfd);
  ++context_.counters.processes_adopted;
  watch();
  return {};
}

void Process::watch() {
  Fd copy(::fcntl(pidfd_.get(), F_DUPFD_CLOEXEC, 0));
  context_.tasks.spawn("process exit", watch_exit(self_, context_, std::move(copy)));
}

net::Task<void> Process::watch_exit(std::shared_ptr<Process*> self, Context& context, Fd pidfd) {
  asio::posix::stream_descriptor descriptor(context.executor, pidfd.release());
  co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
  if (*self != nullptr) (*self)->on_exit();
}

void Process::on_exit() {
  exit_info_ = reap(pidfd_.get());
  ++context_.counters.process_ends;
  client_.reset();
  forget();
  disconnected_.set();
  exited_.set();
}

void Process::hand_over() {
  *self_ = nullptr;
  client_.reset();
  pidfd_.reset();
  forget();
  disconnected_.set();
}

void Process::forget() {
  ::unlink(context_.run.socket(record_.name).c_str());
  context_.records.remove(record_.name);
}

net::Task<Result<ipc::Message>> Process::connect(net::milliseconds timeout) {
  auto socket = ipc::connect_to(context_.run.socket(record_.name).string());
  if (!socket) co_return fail(std::move(socket.error()));
  ipc::IpcClient::Handlers handlers;
  handlers.on_message = [this](ipc::Message message) { on_message(std::move(message)); };
  handlers.on_closed = [this](const Error&) { disconnected_.set(); };
  client_ = std::make_unique<ipc::IpcClient>(context_.executor, std::move(*socket),
                                             std::move(handlers), budget_);
  disconnected_.reset();
  auto answer = co_await client_->hello(record_.nonce, context_.fence, kAgentVersion, timeout);
  if (!answer) disconnected_.set();
  co_return answer;
}

void Process::on_message(ipc::Message message) {
  if (message.id) {
    // Sent again after a new hello: who answers the first answers this one.
    if (asked_.contains(*message.id)) return;
    if (asked_.size() >= asked_max_) {
      ++context_.counters.requests_refused;
      client_->refuse(*message.id, {Errc::exhausted, "too many requests wait for an answer"});
      return;
    }
    asked_.insert(*message.id);
  }
  on_message_(std::move(message));
}

net::Task<Result<ipc::Message>> Process::call(const boost::json::object& body, std::vector<Fd> fds,
                                              net::milliseconds timeout) {
  if (!connected()) co_return fail(Errc::unavailable, record_.name + ": not connected");
  co_return co_await client_->call(body, std::move(fds), timeout);
}

void Process::answer(std::int64_t id, const boost::json::object& members,
                     std::span<const int> fds) {
  asked_.erase(id);
  if (client_) client_->answer(id, members, fds);
}
void Process::refuse(std::int64_t id, const Error& error) {
  asked_.erase(id);
  if (client_) client_->refuse(id, error);
}
void Process::ack(std::int64_t event_seq) {
  if (client_) client_->ack(event_seq);
}

Status Process::note_people(AttachedPeople people) {
  record_.people = std::move(people);
  // Without a process there is no record any more, and none is to come back.
  return running() ? context_.records.write(record_) : Status();
}

Status Process::note_joined(JoinedRecords joined) {
  if (record_.joined == joined) return {};
  record_.joined = std::move(joined);
  return running() ? context_.records.write(record_) : Status();
}

bool Process::connected() const {
  return client_ != nullptr && client_->open();
}

net::Task<bool> Process::ends_soon() {
  co_return co_await exited_.wait_for(net::milliseconds(300));
}

bool Process::signal(int number) const {
  return pidfd_ && send_signal(pidfd_.get(), number);
}

net::Task<void> Process::terminate(net::milliseconds grace) {
  if (!running()) co_return;
  signal(SIGTERM);
  const bool ended = co_await exited_.wait_for(grace);
  if (ended) co_return;
  signal(SIGKILL);
  // The kernel needs no longer than this for a process without devices.
  const bool killed = co_await exited_.wait_for(net::milliseconds(5'000));
  if (!killed) log::error("process does not end", {{"instance", record_.name}});
}

}  // namespace rap::agent
