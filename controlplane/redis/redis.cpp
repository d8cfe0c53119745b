#include "controlplane/redis/redis.hpp"

#include <hiredis/async.h>
#include <unistd.h>

#include <atomic>

#include <boost/asio/async_result.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "base/net/tcp.hpp"

namespace rap::cp {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

// A Redis on the same host answers in under a millisecond; longer than this, going on without it
// is better than waiting.
constexpr milliseconds kPatience{250};
constexpr milliseconds kRetryMin{100};
constexpr milliseconds kRetryMax{5000};

using Answer = std::function<void(std::optional<RedisReply>)>;

RedisReply convert(const redisReply& reply) {
  RedisReply out;
  switch (reply.type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      out.kind = RedisReply::Kind::text;
      out.text.assign(reply.str, static_cast<std::size_t>(reply.len));
      break;
    case REDIS_REPLY_INTEGER:
      out.kind = RedisReply::Kind::integer;
      out.integer = reply.integer;
      break;
    case REDIS_REPLY_ERROR:
      out.kind = RedisReply::Kind::error;
      out.text.assign(reply.str, static_cast<std::size_t>(reply.len));
      break;
    default:
      break;
  }
  return out;
}

// A command under way: answered by Redis or by its timer, once.
struct Pending : std::enable_shared_from_this<Pending> {
  Pending(const asio::any_io_executor& executor, Answer given)
      : timer(executor), answer(std::move(given)) {}

  void finish(std::optional<RedisReply> reply) {
    if (!answer) return;
    timer.cancel();
    std::exchange(answer, nullptr)(std::move(reply));
  }
  asio::steady_timer timer;
  Answer answer;
};

}  // namespace

// The event-loop side of one hiredis connection. hiredis calls add/del as its interest changes.
struct Redis::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::any_io_executor given, std::string address)
      : executor(std::move(given)), url(std::move(address)), retry(executor) {}

  asio::any_io_executor executor;
  std::string url;
  asio::steady_timer retry;
  milliseconds pause = kRetryMin;
  redisAsyncContext* context = nullptr;
  std::optional<asio::posix::stream_descriptor> descriptor;  // a duplicate: hiredis owns its own
  bool wants_read = false, wants_write = false;
  bool reading = false, writing = false;
  bool stopped = false;
  std::uint64_t generation = 0;  // of the connection: late events of an old one are ignored
  std::atomic<bool> up{false};

  static Impl& of(void* data) { return *static_cast<Impl*>(data); }

  void connect() {
    if (stopped) return;
    if (url.starts_with("unix:")) {
      context = redisAsyncConnectUnix(url.c_str() + 5);
    } else {
      const auto address = net::parse_host_port(url);
      if (!address) {
        log::error("redis url is not unix:/path or host:port");
        return;
      }
      context = redisAsyncConnect(address->host.c_str(), address->port);
    }
    if (context == nullptr || context->err != 0) {
      if (context != nullptr) redisAsyncFree(context);
      context = nullptr;
      return lost();
    }
    ++generation;
    descriptor.emplace(executor, ::dup(context->c.fd));
    context->data = this;
    context->ev.data = this;
    context->ev.addRead = [](void* data) { of(data).want_read(true); };
    context->ev.delRead = [](void* data) { of(data).want_read(false); };
    context->ev.addWrite = [](void* data) { of(data).want_write(true); };
    context->ev.delWrite = [](void* data) { of(data).want_write(false); };
    context->ev.cleanup = [](void* data) { of(data).forget(); };
    redisAsyncSetConnectCallback(context, [](const redisAsyncContext* c, int status) {
      Impl& self = of(c->data);
      if (status != REDIS_OK) {
        self.context = nullptr;  // hiredis frees it
        return self.lost();
      }
      self.greet();
    });
    redisAsyncSetDisconnectCallback(context, [](const redisAsyncContext* c, int) {
      Impl& self = of(c->data);
      self.context = nullptr;
      if (self.up) log::warn("redis connection lost");
      self.lost();
    });
  }

  // A Redis that hangs still accepts connections, its kernel does: it is there when it has
  // answered.
  void greet() {
    issue({"PING"}, [this](const std::optional<RedisReply>& reply) {
      if (!reply || stopped) return;
      up = true;
      pause = kRetryMin;
      log::info("redis connected");
    });
  }

  // Commands behind the one that was not answered would wait as long, and stay in hiredis' buffer.
  void give_up(std::uint64_t connection) {
    if (connection != generation || context == nullptr) return;
    redisAsyncFree(context);  // answers what is under way with nothing, then calls back as lost
  }

  void forget() {
    ++generation;
    wants_read = wants_write = reading = writing = false;
    descriptor.reset();
  }

  void lost() {
    up = false;
    if (stopped) return;
    retry.expires_after(pause);
    pause = std::min(pause * 2, kRetryMax);
    retry.async_wait([self = shared_from_this()](auto error) {
      if (!error) self->connect();
    });
  }

  void want_read(bool wanted) {
    wants_read = wanted;
    if (!wanted || reading || !descriptor) return;
    reading = true;
    descriptor->async_wait(asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this(), mine = generation](auto error) {
                             if (error || mine != self->generation) return;
                             self->reading = false;
                             redisAsyncHandleRead(self->context);
                             if (mine == self->generation && self->wants_read)
                               self->want_read(true);
                           });
  }
  void want_write(bool wanted) {
    wants_write = wanted;
    if (!wanted || writing || !descriptor) return;
    writing = true;
    descriptor->async_wait(asio::posix::stream_descriptor::wait_write,
                           [self = shared_from_this(), mine = generation](auto error) {
                             if (error || mine != self->generation) return;
                             self->writing = false;
                             redisAsyncHandleWrite(self->context);
                             if (mine == self->generation && self->wants_write)
                               self->want_write(true);
                           });
  }

  void send(const std::vector<std::string>& words, Answer answer) {
    if (!up || context == nullptr) return answer(std::nullopt);
    issue(words, std::move(answer));
  }

  void issue(const std::vector<std::string>& words, Answer answer) {
    std::vector<const char*> values;
    std::vector<std::size_t> sizes;
    for (const std::string& word : words) {
      values.push_back(word.data());
      sizes.push_back(word.size());
    }
    auto pending = std::make_shared<Pending>(executor, std::move(answer));
    pending->timer.expires_after(kPatience);
    pending->timer.async_wait([self = shared_from_this(), pending, mine = generation](auto error) {
      if (error) return;
      pending->finish(std::nullopt);
      self->give_up(mine);
    });
    auto* owned = new std::shared_ptr<Pending>(pending);  // hiredis calls back exactly once
    const int result = redisAsyncCommandArgv(
        context,
        [](redisAsyncContext*, void* reply, void* data) {
          const std::unique_ptr<std::shared_ptr<Pending>> mine(
              static_cast<std::shared_ptr<Pending>*>(data));
          std::optional<RedisReply> converted;
          if (reply != nullptr) converted = convert(*static_cast<redisReply*>(reply));
          (*mine)->finish(std::move(converted));
        },
        owned, static_cast<int>(words.size()), values.data(), sizes.data());
    if (result != REDIS_OK) {
      delete owned;
      pending->finish(std::nullopt);
    }
  }
};

Redis::Redis(asio::any_io_executor executor, std::string url)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(url))) {}
Redis::~Redis() {
  stop();
}

void Redis::start() {
  if (configured()) impl_->connect();
}
void Redis::stop() {
  impl_->stopped = true;
  impl_->up = false;
  impl_->retry.cancel();
  if (impl_->context != nullptr) redisAsyncFree(std::exchange(impl_->context, nullptr));
}
bool Redis::configured() const {
  return !impl_->url.empty();
}
bool Redis::connected() const {
  return impl_->up;
}

net::Task<std::optional<RedisReply>> Redis::command(std::vector<std::string> words) {
  using Signature = void(std::optional<RedisReply>);
  auto start = [impl = impl_](auto handler, std::vector<std::string> given) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    impl->send(given, [impl, shared](std::optional<RedisReply> reply) {
      asio::post(impl->executor, [shared, reply = std::move(reply)]() mutable {
        std::move (*shared)(std::move(reply));
      });
    });
  };
  auto sent = asio::async_initiate<const asio::use_awaitable_t<>, Signature>(
      start, asio::use_awaitable, std::move(words));
  co_return co_await std::move(sent);
}

}  // namespace rap::cp
