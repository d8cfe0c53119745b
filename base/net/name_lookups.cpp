#include "base/net/name_lookups.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <thread>

#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>

#include "base/net/event.hpp"
#include "base/net/net_error.hpp"
#include "base/net/timer.hpp"

namespace rap::net {

namespace {

using Addresses = Result<std::vector<std::string>>;

// How soon whoever waits for a turn looks again; below what a person notices.
constexpr milliseconds kTurn{20};

// The loop's side of one lookup. A thread never holds it: it may not outlive the loop.
struct Lookup {
  explicit Lookup(asio::any_io_executor executor) : done(std::move(executor)) {}
  std::optional<Addresses> result;
  Event done;
};

}  // namespace

struct NameLookups::State : std::enable_shared_from_this<State> {
  State(asio::any_io_executor e, Function f) : executor(std::move(e)), function(std::move(f)) {}

  asio::any_io_executor executor;
  Function function;
  std::mutex mutex;  // guards what follows
  bool closed = false;
  std::set<std::string> busy;  // shares
  std::map<std::uint64_t, std::shared_ptr<Lookup>> waited;
  std::uint64_t next = 1;

  // Null: not now.
  std::shared_ptr<Lookup> begin(const std::string& host, const std::string& share,
                                std::uint64_t& number) {
    const std::lock_guard lock(mutex);
    if (busy.size() >= kLookupsMax || busy.contains(share)) return nullptr;
    auto lookup = std::make_shared<Lookup>(executor);
    number = next++;
    // Signals are the business of the threads that were there before.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    try {
      std::thread(&State::run, shared_from_this(), host, share, number).detach();
    } catch (const std::system_error&) {
      lookup = nullptr;  // no thread to be had: the same as too many
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (!lookup) return nullptr;
    busy.insert(share);
    waited.emplace(number, lookup);
    return lookup;
  }

  static void run(std::shared_ptr<State> self, std::string host, std::string share,
                  std::uint64_t number) {
    Addresses result = self->function(host);
    const std::lock_guard lock(self->mutex);
    self->busy.erase(share);
    // Closed under the lock: afterwards there is no loop to post to.
    if (self->closed || !self->waited.contains(number)) return;
    asio::post(self->executor, [self, number, result = std::move(result)]() mutable {
      const auto lookup = self->take(number);
      if (!lookup) return;
      lookup->result = std::move(result);
      lookup->done.set();
    });
  }

  std::shared_ptr<Lookup> take(std::uint64_t number) {
    const std::lock_guard lock(mutex);
    const auto at = waited.find(number);
    if (at == waited.end()) return nullptr;
    auto out = std::move(at->second);
    waited.erase(at);
    return out;
  }

  void close() {
    std::map<std::uint64_t, std::shared_ptr<Lookup>> dropped;
    const std::lock_guard lock(mutex);
    closed = true;
    dropped.swap(waited);
    executor = {};
  }
};

NameLookups::NameLookups(asio::any_io_executor executor, Function function)
    : state_(std::make_shared<State>(std::move(executor), std::move(function))) {}

NameLookups::~NameLookups() {
  state_->close();
}

Task<std::vector<std::string>> NameLookups::find(std::string host, std::string share) {
  const auto state = state_;
  std::uint64_t number = 0;
  auto lookup = state->begin(host, share, number);
  while (!lookup) {
    co_await sleep_for(kTurn);
    lookup = state->begin(host, share, number);
  }
  struct Forget {
    State& state;
    std::uint64_t number;
    ~Forget() { state.take(number); }
  } forget{*state, number};
  co_await lookup->done.wait();
  if (!*lookup->result) throw NetError(lookup->result->error());
  co_return std::move(**lookup->result);
}

std::size_t NameLookups::running() const {
  const std::lock_guard lock(state_->mutex);
  return state_->busy.size();
}

Addresses NameLookups::system_lookup(const std::string& host) {
  addrinfo want{};
  want.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &want, &first);
  if (code != 0) {
    return fail(Errc::unavailable, "resolve " + host + ": " + ::gai_strerror(code));
  }
  std::vector<std::string> out;
  for (const addrinfo* each = first; each != nullptr; each = each->ai_next) {
    char text[NI_MAXHOST] = {};
    if (::getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      out.emplace_back(text);
    }
  }
  ::freeaddrinfo(first);
  return out;
}

namespace {

struct LookupService final : asio::execution_context::service {
  using key_type = LookupService;
  static asio::execution_context::id id;
  explicit LookupService(asio::execution_context& context)
      : asio::execution_context::service(context) {}
  void shutdown() override { lookups.reset(); }
  std::unique_ptr<NameLookups> lookups;
};
asio::execution_context::id LookupService::id;

}  // namespace

NameLookups& NameLookups::of(const asio::any_io_executor& executor) {
  auto& service = asio::use_service<LookupService>(asio::query(executor, asio::execution::context));
  if (!service.lookups) service.lookups = std::make_unique<NameLookups>(executor);
  return *service.lookups;
}

}  // namespace rap::net
