// One session worker: its process, what is known about it, and what it may ask for.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "base/net/event.hpp"
#include "host/agent/session/events.hpp"
#include "host/agent/supervise/process.hpp"

namespace rap::agent {

struct SessionReport {
  std::string session_id;
  std::string state = "opening";  // opening active detached closing closed failed
  std::string detail;
  std::string controller;  // name; empty: nobody
  int viewers = 0;
};

// A resource as the session's own, at the moment it is asked for: it may have been changed or
// taken away since the session was opened.
struct SessionTarget {
  std::string host;
  std::uint16_t port = 0;
  std::string secret_ref;
};

// Owners: SessionBroker, and its own tasks while they run.
class Session : public std::enable_shared_from_this<Session> {
 public:
  struct Powers {  // what the agent does for workers
    std::function<Result<SessionTarget>(const std::string& resource,
                                        const std::string& organization)>
        target;
    std::function<net::Task<Result<Fd>>(std::string organization, std::string host,
                                        std::uint16_t port, net::milliseconds)>
        dial;
    // The value in base64; the caller wipes it.
    std::function<net::Task<Result<std::string>>(std::string session, std::string secret_ref)>
        secret;
    std::function<void(const std::string& session)> ended;
  };

  Session(Context& context, SessionEvents& events, Powers powers, InstanceRecord record);
  ~Session();

  // Before started(): what the forked process inherits.
  Result<Fd> prepare();
  // The process is there: connects and opens the remote session.
  net::Task<Status> open(Fd pidfd, boost::json::object open_request);
  // Takes over the process of an earlier agent; `session` state comes from itself.
  Status adopt();
  // Watches over connection and end; spawn once after open() or adopt().
  static net::Task<void> watch(std::shared_ptr<Session> self);

  net::Task<Status> attach(boost::json::object attach_request, Fd stream);
  // Ends the attachments of one person; a failure is logged, for it is asked for again.
  static net::Task<void> drop(std::shared_ptr<Session> self, std::string user_id,
                              std::string detail);
  // They were let in and not said to have left.
  bool has(std::string_view user_id) const;
  net::Task<Status> close(std::string reason, std::string by);
  net::Task<void> terminate(net::milliseconds grace);

  bool running() const { return process_.running(); }
  const SessionReport& report() const { return report_; }
  const InstanceRecord& record() const { return process_.record(); }
  // How the zygote says it ended; used when the worker could not say itself.
  void note_exit(const ExitInfo& how);
  void forget() { process_.forget(); }

 private:
  net::Task<Status> connect();
  void on_message(ipc::Message message);
  void on_state(const ipc::Message& message);
  void on_event(const ipc::Message& message);
  // `then` follows when the event is durable.
  void keep_and_ack(const ipc::Message& message, boost::json::object event,
                    std::function<void(Session&)> then = {});
  void drop(const ipc::Message& message);
  void settle(const std::string& kind, const std::string& attach_id, const std::string& previous);
  void report_lost();
  static net::Task<void> stream_open(std::shared_ptr<Session> self, ipc::Message message);
  static net::Task<void> secret_resolve(std::shared_ptr<Session> self, ipc::Message message);

  Context& context_;
  SessionEvents& events_;
  Powers powers_;
  SessionReport report_;
  ExitInfo exit_;
  net::Event told_;  // `exit_` is
  LineLimiter lines_;
  // The worker was heard until then: what it kept for the next connection is not older.
  SystemTime heard_until_;
  std::chrono::steady_clock::time_point connected_at_;
  bool ended_ = false;  // the worker reported closed or failed
  Process process_;
};

}  // namespace rap::agent
