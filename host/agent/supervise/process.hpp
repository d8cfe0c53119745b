// One supervised process as the agent holds it: record on disk, pidfd, connection.
//
//   start() or fork (sessions) ──► connect() ──► call() … ──► exited() is set
//   after an agent restart:  adopt() ──► connect() ──► …
//
// Destroying it lets go of the process and leaves it running, with its record: that is how an agent
// restart goes unnoticed. Only the end of the process removes record and socket.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/net/event.hpp"
#include "host/agent/run/context.hpp"
#include "host/agent/supervise/log_capture.hpp"
#include "host/agent/supervise/spawn.hpp"
#include "host/ipc/client.hpp"

namespace rap::agent {

class Process {
 public:
  // Events and requests of the process, on the agent's thread. A request whose earlier copy is
  // still being answered does not come again; one too many is refused as `exhausted` and does not
  // come.
  using OnMessage = std::function<void(ipc::Message)>;

  Process(Context& context, InstanceRecord record, OnMessage on_message);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Socket, record, process. `extra` are descriptors beside 3 (socket) and 5 (log); `flags` go to
  // the program.
  Status start(LogCapture& logs, const std::filesystem::path& program,
               std::vector<std::pair<int, int>> extra, const std::vector<std::string>& flags = {});
  // For a process that another one forks: binds its socket and writes its record. The descriptor
  // goes to the new process.
  Result<Fd> prepare();
  // The forked process is there.
  Status started(Fd pidfd);
  // A process that an earlier agent started and that is_running().
  Status adopt();
  // The same, made for `record`; what cannot be adopted is forgotten.
  static Result<std::unique_ptr<Process>> adopted(Context& context, InstanceRecord record,
                                                  OnMessage on_message);

  // How many of its requests may wait for an answer; otherwise what its kind may.
  void allow_requests(std::size_t most) { asked_max_ = most; }
  // Connects and says hello; the answer has the process's own status. Again after connection loss.
  net::Task<Result<ipc::Message>> connect(net::milliseconds timeout);
  // `unavailable` when not connected.
  net::Task<Result<ipc::Message>> call(const boost::json::object& body, std::vector<Fd> fds,
                                       net::milliseconds timeout);
  void answer(std::int64_t id, const boost::json::object& members, std::span<const int> fds = {});
  void refuse(std::int64_t id, const Error& error);
  void ack(std::int64_t event_seq);

  const InstanceRecord& record() const { return record_; }
  // Also for the next agent, when it succeeds.
  Status note_people(AttachedPeople people);
  Status note_joined(JoinedRecords joined);
  bool connected() const;
  bool running() const { return static_cast<bool>(pidfd_) && !exited_.is_set(); }
  // Set when the process has ended; exit_info() then tells how.
  net::Event& exited() { return exited_; }
  const ExitInfo& exit_info() const { return exit_info_; }
  // Set while there is no connection although there was one.
  net::Event& disconnected() { return disconnected_; }

  // Waits for the end that follows a lost connection within moments; false when it lives on.
  net::Task<bool> ends_soon();

  bool signal(int number) const;
  // SIGTERM, then after `grace` SIGKILL; returns when it has ended.
  net::Task<void> terminate(net::milliseconds grace);
  // The process became something else, which has its own record: lets go of it for good.
  void hand_over();
  // Removes socket and record of a process that ended or never began.
  void forget();

 private:
  static net::Task<void> watch_exit(std::shared_ptr<Process*> self, Context& context, Fd pidfd);
  void watch();
  void on_exit();
  void on_message(ipc::Message message);

  Context& context_;
  InstanceRecord record_;
  OnMessage on_message_;
  std::shared_ptr<ipc::MessageBudget> budget_;  // also its connections'
  std::size_t asked_max_;
  std::set<std::int64_t> asked_;  // requests of the process, not yet answered
  Fd pidfd_;
  std::unique_ptr<ipc::IpcClient> client_;
  net::Event exited_;
  net::Event disconnected_;
  ExitInfo exit_info_;
  std::shared_ptr<Process*> self_;  // null inside when this is gone; shared with the exit watch
};

// Hex, 32 characters.
std::string new_nonce();
// For waits that must not fall together on many nodes.
std::uint64_t random_number();

}  // namespace rap::agent
