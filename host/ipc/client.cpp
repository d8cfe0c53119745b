#include "host/ipc/client.hpp"

#include <fcntl.h>

#include <deque>
#include <map>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "base/secret.hpp"

namespace rap::ipc {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

// A process that does not read this many requests is hung; its calls time out anyway.
constexpr std::size_t kOutMax = 512;

using Clock = std::chrono::steady_clock;

// The timer is the thing that waits; the result is set before it is cancelled.
struct Pending {
  explicit Pending(const asio::any_io_executor& executor) : timer(executor) {}
  asio::steady_timer timer;
  std::optional<Result<Message>> result;
};

}  // namespace

class IpcClient::Impl : public std::enable_shared_from_this<IpcClient::Impl> {
 public:
  Impl(asio::any_io_executor executor, Fd socket, Handlers handlers,
       std::shared_ptr<MessageBudget> budget)
      : executor_(executor),
        handlers_(std::make_shared<Handlers>(std::move(handlers))),
        channel_(std::move(socket)),
        // Waits on a duplicate: Asio owns and closes its descriptor, the channel keeps its own.
        wait_(executor, fcntl(channel_.fd(), F_DUPFD_CLOEXEC, 0)),
        budget_(std::move(budget)),
        pause_(executor) {}

  void start() { wait_readable(); }

  // Ends everything without calling a handler.
  void shut(const Error& why) {
    if (!open_) return;
    open_ = false;
    boost::system::error_code ignored;
    wait_.close(ignored);
    pause_.cancel();
    channel_.close();
    out_.clear();
    auto calls = std::move(calls_);
    calls_.clear();
    for (auto& [id, pending] : calls) {
      pending->result.emplace(fail(why));
      pending->timer.cancel();
    }
  }

  bool open() const { return open_; }

  // Sends now; what is awaited is only the answer.
  asio::awaitable<Result<Message>> begin_call(json::object body, std::vector<Fd> fds,
                                              std::chrono::milliseconds timeout) {
    const std::int64_t id = next_id_++;
    body["id"] = id;
    auto pending = std::make_shared<Pending>(executor_);
    pending->timer.expires_after(timeout);
    std::string text = json::serialize(body);
    if (!open_) {
      pending->result.emplace(fail(Errc::unavailable, "the process closed the connection"));
    } else if (text.size() > kMessageBytesMax) {
      pending->result.emplace(fail(Errc::too_large, "a message has at most 64 KiB"));
    } else {
      calls_.emplace(id, pending);
      if (budget_) budget_->earn();
      send(std::move(text), std::move(fds));
    }
    return finish_call(shared_from_this(), id, std::move(pending));
  }

  void send(std::string text, std::vector<Fd> fds) {
    if (!open_) return;
    out_.push_back(Packet{std::move(text), std::move(fds)});
    if (!waiting_to_write_) flush();
    // To drop some of them would leave their callers waiting. Not from inside: the handler may
    // destroy the client that is being called.
    if (out_.size() > kOutMax) lose_soon({Errc::exhausted, "the process reads nothing"});
  }

 private:
  static asio::awaitable<Result<Message>> finish_call(std::shared_ptr<Impl> self, std::int64_t id,
                                                      std::shared_ptr<Pending> pending) {
    boost::system::error_code error;
    if (!pending->result) {
      co_await pending->timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
    self->calls_.erase(id);
    if (pending->result) co_return std::move(*pending->result);
    if (error) co_return fail(Errc::cancelled, "call cancelled");
    co_return fail(Errc::timeout, "the process did not answer in time");
  }

  void wait_readable() {
    wait_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](boost::system::error_code error) {
                       if (!error) self->on_readable();
                     });
  }

  void on_readable() {
    // A few at a time, then the other work of this executor has its turn.
    for (int i = 0; i < 16 && open_; ++i) {
      Packet packet;
      auto got = channel_.receive(packet);
      if (!got) return lost(got.error());
      if (*got == Io::closed) {
        return lost({Errc::unavailable, "the process closed the connection"});
      }
      if (*got == Io::again) break;
      const auto wait =
          budget_ ? budget_->spend(packet.text.size(), Clock::now()) : std::chrono::milliseconds(0);
      auto message = parse_message(std::move(packet));
      if (!message) return lost(message.error());
      dispatch(*std::move(message));
      if (wait.count() > 0) return pause(wait);
    }
    if (open_) wait_readable();
  }

  void pause(std::chrono::milliseconds wait) {
    if (!open_) return;
    pause_.expires_after(wait);
    pause_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error && self->open_) self->wait_readable();
    });
  }

  void dispatch(Message message) {
    if (!message.is_answer()) {
      auto handlers = handlers_;  // the handler may destroy the client
      if (handlers->on_message) handlers->on_message(std::move(message));
      return;
    }
    auto at = calls_.find(*message.id);
    if (at == calls_.end()) return;  // it timed out before
    auto pending = at->second;
    calls_.erase(at);
    pending->result.emplace(outcome(std::move(message)));
    pending->timer.cancel();
  }

  void lost(const Error& why) {
    if (!open_) return;
    shut({Errc::unavailable, why.detail});
    auto handlers = handlers_;
    if (handlers->on_closed) handlers->on_closed(why);
  }

  void lose_soon(Error why) {
    asio::post(executor_, [self = shared_from_this(), why = std::move(why)] { self->lost(why); });
  }

  void flush() {
    while (open_ && !out_.empty()) {
      std::vector<int> numbers;
      for (const Fd& fd : out_.front().fds) numbers.push_back(fd.get());
      auto sent = channel_.send(out_.front().text, numbers);
      if (!sent) return lose_soon(sent.error());
      // A closed peer is noticed by the reading side, which also reports it.
      if (*sent == Io::closed) {
        out_.clear();
        return;
      }
      if (*sent == Io::again) return wait_writable();
      wipe(out_.front().text);  // it may have held a secret
      out_.pop_front();
    }
  }

  void wait_writable() {
    waiting_to_write_ = true;
    wait_.async_wait(asio::posix::stream_descriptor::wait_write,
                     [self = shared_from_this()](boost::system::error_code error) {
                       self->waiting_to_write_ = false;
                       if (!error) self->flush();
                     });
  }

  asio::any_io_executor executor_;
  std::shared_ptr<Handlers> handlers_;  // this object and a handler in progress
  Channel channel_;
  asio::posix::stream_descriptor wait_;
  std::shared_ptr<MessageBudget> budget_;  // null: no limit
  asio::steady_timer pause_;
  std::map<std::int64_t, std::shared_ptr<Pending>> calls_;  // shared with the waiting coroutine
  std::deque<Packet> out_;
  std::int64_t next_id_ = 1;
  bool waiting_to_write_ = false;
  bool open_ = true;
};

IpcClient::IpcClient(asio::any_io_executor executor, Fd socket, Handlers handlers,
                     std::shared_ptr<MessageBudget> budget)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(socket), std::move(handlers),
                                   std::move(budget))) {
  impl_->start();
}

IpcClient::~IpcClient() {
  impl_->shut({Errc::cancelled, "the connection was closed on this side"});
}

asio::awaitable<Result<Message>> IpcClient::call(const json::object& body, std::vector<Fd> fds,
                                                 std::chrono::milliseconds timeout) {
  return impl_->begin_call(json::object(body), std::move(fds), timeout);
}

asio::awaitable<Result<Message>> IpcClient::hello(const std::string& nonce, std::int64_t fence,
                                                  const std::string& agent_version,
                                                  std::chrono::milliseconds timeout) {
  json::object body = {
      {"op", "hello"}, {"nonce", nonce}, {"fence", fence}, {"agent_version", agent_version}};
  return impl_->begin_call(std::move(body), {}, timeout);
}

void IpcClient::answer(std::int64_t id, const json::object& members, std::span<const int> fds) {
  std::vector<Fd> copies;
  for (int fd : fds) copies.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  impl_->send(answer_text(id, members), std::move(copies));
}

void IpcClient::refuse(std::int64_t id, const Error& error) {
  impl_->send(refusal_text(id, error), {});
}

void IpcClient::ack(std::int64_t event_seq) {
  json::object body = {{"op", "ack"}, {"event_seq", event_seq}};
  impl_->send(json::serialize(body), {});
}

bool IpcClient::open() const {
  return impl_->open();
}

}  // namespace rap::ipc
