// rap.host.stream/1: the agent decides and connects, the descriptor comes back.
#include <fcntl.h>

#include <boost/json.hpp>

#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

constexpr std::uint64_t kTimeoutMs = 15'000;      // a TCP connect that works takes less
constexpr std::uint64_t kTimeoutMsMax = 120'000;  // a person has given up before
constexpr std::size_t kTextMax = 256;             // of target and hint

struct Want {
  std::string target, hint;
  std::uint64_t timeout_ms;
};

void finish(PluginHost& host, std::uint64_t ticket, rap_result result, Fd fd) {
  const auto pending = host.take_stream(ticket);
  if (!pending) return;  // cancelled; the descriptor closes here
  if (fd) fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  // M4: with RAP_OK it is the adapter's.
  const int given = result == RAP_OK ? fd.release() : -1;
  host.run_plugin_task("stream callback", [&] { pending->done(pending->user, result, given); });
}

void ask_agent(PluginHost& host, const Want& want, std::uint64_t ticket) {
  boost::json::object body = {{"op", "stream.open"},
                              {"target", want.target},
                              {"hint", want.hint},
                              {"timeout_ms", want.timeout_ms}};
  host.ask(std::move(body), {}, std::chrono::milliseconds(want.timeout_ms),
           [&host, ticket](Result<ipc::Message> answer) {
             if (!answer) {
               host.note_stream_failure(answer.error().detail);
               return finish(host, ticket, to_result(answer.error().code), Fd());
             }
             if (answer->fds.empty()) return finish(host, ticket, RAP_E_INTERNAL, Fd());
             finish(host, ticket, RAP_OK, std::move(answer->fds.front()));
           });
}

rap_result open(const rap_host* raw, const rap_stream_want* given, rap_stream_fn done, void* user,
                std::uint64_t* ticket) {
  if (given == nullptr || done == nullptr || ticket == nullptr) return RAP_E_INVALID;
  rap_stream_want want;
  rap_take(&want, sizeof want, given, given->size);
  if (want.kind != RAP_STREAM_BYTES) return RAP_E_UNSUPPORTED;
  if (want.target.len == 0 || want.target.len > kTextMax || want.hint.len > kTextMax) {
    return RAP_E_INVALID;
  }
  PluginHost& host = PluginHost::of(raw);
  const std::uint64_t number = host.add_stream({done, user});
  if (number == 0) return RAP_E_RESOURCE;
  *ticket = number;
  Want copy{std::string(view(want.target)), std::string(view(want.hint)),
            want.timeout_ms == 0 ? kTimeoutMs : std::min(want.timeout_ms, kTimeoutMsMax)};
  // Posted also from the loop thread: one order of events for every caller.
  host.post([&host, copy = std::move(copy), number] { ask_agent(host, copy, number); });
  return RAP_PENDING;
}

rap_result cancel(const rap_host* raw, std::uint64_t ticket) {
  PluginHost& host = PluginHost::of(raw);
  const auto pending = host.take_stream(ticket);
  if (!pending) return RAP_E_GONE;
  host.post([&host, pending = *pending] {
    host.run_plugin_task("stream callback",
                         [&] { pending.done(pending.user, RAP_E_CANCELED, -1); });
  });
  return RAP_OK;
}

}  // namespace

const rap_host_stream_1 kStreamTable = {open, cancel};

}  // namespace rap::worker
