#include "fabric/resume/registry.hpp"

#include <algorithm>
#include <map>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "fabric/resume/core.hpp"

namespace rap::resume {

using net::NetError;

struct ResumeRegistry::State {
  struct Entry {
    std::weak_ptr<Core> core;  // owned by its tasks and its user
    PeerId peer{};
  };

  net::asio::any_io_executor executor;
  ResumeLimits limits;
  RegistryLimits most;
  const ResumeClock& clock;
  std::map<StreamId, Entry> streams;  // ids are ours and random: nobody can choose them
  std::map<PeerId, std::size_t> of_peer;
  RegistryCounts counts;

  void forget(const StreamId& id) {
    const auto found = streams.find(id);
    if (found == streams.end()) return;
    const auto peer = of_peer.find(found->second.peer);
    if (peer != of_peer.end() && --peer->second == 0) of_peer.erase(peer);
    streams.erase(found);
  }

  void close(const PeerId* peer) {
    std::vector<std::shared_ptr<Core>> cores;  // close() may come back to forget()
    for (const auto& [id, entry] : streams) {
      if (peer != nullptr && entry.peer != *peer) continue;
      if (auto core = entry.core.lock()) cores.push_back(std::move(core));
    }
    for (const auto& core : cores) core->close(CloseReason::user);
  }
};

namespace {

struct First {
  FrameHeader header;
  Bytes body;
};

Task<void> read_first(net::ByteStream& transport, First& out) {
  out.header = co_await read_opening(transport, Phase::opening, out.body);
}

Task<void> send_refusal(net::ByteStream& transport, Refusal reason) {
  const Bytes frame = encode(reason);
  co_await transport.write_all(frame);
  co_await transport.shutdown();
}

Refusal refusal_of(Errc code) {
  switch (code) {
    case Errc::unsupported:
      return Refusal::version;
    case Errc::exhausted:
      return Refusal::full;
    case Errc::not_found:
      return Refusal::unknown;
    case Errc::rollback:
      return Refusal::stale;
    default:
      return Refusal::malformed;
  }
}

// Whether an answer can reach anybody.
bool worth_answering(Errc code) {
  return code != Errc::unavailable && code != Errc::timeout && code != Errc::cancelled;
}

Result<ResumableStreamPtr> make_new(const std::shared_ptr<ResumeRegistry::State>& state,
                                    net::ByteStreamPtr& transport, const PeerId& peer,
                                    ByteView body) {
  const auto hello = decode_hello(body);
  if (!hello) return fail(hello.error());
  if (state->streams.size() >= state->most.streams_max) {
    return fail(Errc::exhausted, std::to_string(state->streams.size()) + " streams");
  }
  auto& of_peer = state->of_peer[peer];
  if (of_peer >= state->most.streams_of_peer_max) {
    return fail(Errc::exhausted, std::to_string(of_peer) + " streams of one peer");
  }
  Welcome welcome;
  const Bytes fresh = random_bytes(welcome.id.size() + welcome.random.size());
  std::copy_n(fresh.begin(), welcome.id.size(), welcome.id.begin());
  std::copy_n(fresh.begin() + welcome.id.size(), welcome.random.size(), welcome.random.begin());
  welcome.window = state->limits.window;

  Core::Setup setup;
  setup.executor = state->executor;
  setup.limits = state->limits;
  setup.clock = &state->clock;
  setup.peer_window = hello->window;
  setup.id = welcome.id;
  setup.key = derive_key(welcome.id, hello->random, welcome.random);
  auto core = std::make_shared<Core>(std::move(setup));
  core->on_over([weak = std::weak_ptr(state), id = welcome.id] {
    if (auto registry = weak.lock()) registry->forget(id);
  });
  state->streams.emplace(welcome.id, ResumeRegistry::State::Entry{core, peer});
  ++of_peer;
  ++state->counts.opened;
  core->start(std::move(transport), encode(welcome));
  return core->make_stream();
}

Result<ResumableStreamPtr> join(const std::shared_ptr<ResumeRegistry::State>& state,
                                net::ByteStreamPtr& transport, const PeerId& peer,
                                const First& first) {
  const auto resume = decode_resume(first.header, first.body);
  if (!resume) return fail(resume.error());
  const auto found = state->streams.find(resume->id);
  const auto core = found == state->streams.end() ? nullptr : found->second.core.lock();
  // One answer to all three, so that nobody can ask which streams there are.
  if (!core || core->over() || !equal_constant_time(found->second.peer, peer) ||
      !core->proves(*resume)) {
    return fail(Errc::not_found, "no such stream of this peer");
  }
  if (resume->epoch <= core->epoch()) {
    return fail(Errc::rollback, "epoch " + std::to_string(resume->epoch) + " after " +
                                    std::to_string(core->epoch()));
  }
  ++state->counts.resumed;
  core->offer(std::move(transport), *resume);
  return ResumableStreamPtr();
}

}  // namespace

ResumeRegistry::ResumeRegistry(net::asio::any_io_executor executor, ResumeLimits limits,
                               RegistryLimits counts, const ResumeClock& clock)
    : state_(new State{std::move(executor), limits, counts, clock, {}, {}, {}}) {}

ResumeRegistry::~ResumeRegistry() = default;

Task<Result<ResumableStreamPtr>> ResumeRegistry::accept(net::ByteStreamPtr transport, PeerId peer) {
  const auto state = state_;
  net::Event wake(state->executor);
  First first;
  std::optional<Error> failed;
  try {
    const bool came = co_await run_until(state->clock, wake, read_first(*transport, first),
                                         state->clock.now() + state->limits.hello_timeout);
    if (!came) failed = Error{Errc::timeout, "no first frame"};
  } catch (const NetError& error) {
    failed = error.error();
  }
  if (!failed) {
    auto out = first.header.type == FrameType::hello ? make_new(state, transport, peer, first.body)
                                                     : join(state, transport, peer, first);
    if (out) co_return out;
    failed = out.error();
  }
  ++state->counts.refused;
  if (worth_answering(failed->code)) {
    log::info("resumable stream refused", {{"error", failed->text()}});
    try {
      (void)co_await run_until(state->clock, wake,
                               send_refusal(*transport, refusal_of(failed->code)),
                               state->clock.now() + state->limits.close_timeout);
    } catch (const NetError&) {  // it need not be heard
    }
  }
  transport->close();
  co_return fail(*failed);
}

void ResumeRegistry::close_peer(const PeerId& peer) {
  state_->close(&peer);
}

void ResumeRegistry::close_all() {
  state_->close(nullptr);
}

RegistryCounts ResumeRegistry::counts() const {
  RegistryCounts out = state_->counts;
  out.streams = state_->streams.size();
  return out;
}

}  // namespace rap::resume
