// The supervised process's side: accepts the agent, again and again, and talks to it.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <list>
#include <map>

#include "host/ipc/message.hpp"

namespace rap::ipc {

struct ServerOptions {
  Fd listening;            // SOCK_SEQPACKET, bound by the agent
  std::string kind;        // "zygote", "session", "listener": told in the answer to hello
  std::string version;     // of the product
  unsigned agent_uid = 0;  // who may connect, as peer_uid() shows it here
};

// Single-threaded, with an epoll of its own: watch fd() for reading in whatever loop there is and
// call process(). Newest authenticated peer wins. Behaviour (docs/contracts/ipc.md):
//  - the first nonce ever heard binds; another nonce, a lower fence or another uid is refused;
//  - events sent with send_event() are kept (256) and sent again after hello until acknowledged;
//  - calls to the agent survive an agent that goes away and comes back: they are sent again after
//    the next hello, until their deadline. So they must be safe to repeat.
class IpcServer {
 public:
  using Clock = std::chrono::steady_clock;

  // A request of the agent. Answer it exactly once, now or later, with answer() or refuse(); an
  // answer to a connection that is gone is dropped.
  struct RequestId {
    std::uint64_t connection = 0;
    std::int64_t id = 0;
  };
  struct Handlers {
    // `message` has `op`, `body` and the descriptors. Unknown ops: refuse with `unsupported`.
    std::function<void(RequestId, Message message)> on_request;
    // Adds members of its own to the answer to hello; may be empty.
    std::function<void(boost::json::object&)> on_hello;
  };
  // `unavailable`/`timeout`, or what the agent refused with.
  using CallDone = std::function<void(Result<Message>)>;

  IpcServer(ServerOptions options, Handlers handlers);
  // Closes descriptors and nothing else, so that a forked child may destroy its copy.
  ~IpcServer();
  IpcServer(const IpcServer&) = delete;
  IpcServer& operator=(const IpcServer&) = delete;

  // Readable when process() has something to do.
  int fd() const { return epoll_.get(); }
  // Handles what is ready, without blocking. Handlers run inside; they may call anything here.
  void process();

  void answer(RequestId request, const boost::json::object& members, std::span<const int> fds = {});
  void refuse(RequestId request, const Error& error);

  // `event` has `op`; `event_seq` is added. When 256 are unacknowledged the oldest is lost and
  // counted (`events_lost` in the answer to hello).
  void send_event(boost::json::object event);
  // Lost when no agent is there.
  void send_note(const boost::json::object& note);
  // `body` has `op`; `id` is added. `done` is called exactly once, never before call() returns,
  // always from process(). With a destroyed server it is not called.
  void call(boost::json::object body, std::vector<Fd> fds, std::chrono::milliseconds timeout,
            CallDone done);

  bool agent_connected() const { return agent_ != nullptr; }
  // An agent has said hello, now or earlier.
  bool greeted() const { return !nonce_.empty(); }
  bool all_acknowledged() const { return events_.empty(); }

 private:
  struct Connection {
    std::uint64_t number = 0;
    Channel channel;
    Clock::time_point since;
    bool broken = false;
    bool wants_write = false;
    std::deque<std::pair<std::string, std::vector<Fd>>> out;
  };
  struct Call {
    std::string text;
    std::vector<Fd> fds;
    Clock::time_point deadline;
    CallDone done;
  };

  void accept_all();
  void read_from(Connection& connection);
  void on_message(Connection& connection, Message message);
  void on_hello(Connection& connection, const Message& message);
  Status check_hello(const boost::json::object& body);
  void resend_all();
  void send(Connection& connection, std::string text, std::span<const int> fds);
  void flush(Connection& connection);
  void watch(Connection& connection, bool write);
  void sweep();
  void expire_calls();
  void arm_timer();

  ServerOptions options_;
  Handlers handlers_;
  Fd epoll_;
  Fd timer_;
  std::list<Connection> connections_;  // stable addresses
  Connection* agent_ = nullptr;
  std::uint64_t next_connection_ = 1;
  std::string nonce_;
  std::int64_t fence_ = 0;
  std::int64_t next_call_ = 1;
  std::map<std::int64_t, Call> calls_;
  std::int64_t next_event_ = 1;
  std::deque<std::pair<std::int64_t, std::string>> events_;
  std::int64_t events_lost_ = 0;
};

}  // namespace rap::ipc
