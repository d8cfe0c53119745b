// rap.host.secret/1: the value lives from the agent's answer to the end of one callback.
#include <boost/json.hpp>

#include "host/worker/locked_buffer.hpp"
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

using namespace std::chrono_literals;

constexpr auto kTimeout = 20s;  // the agent asks the control plane
constexpr std::size_t kRefMax = 256;

void give(PluginHost& host, rap_secret_fn done, void* user, Result<ipc::Message> answer) {
  if (!answer) {
    const rap_result result = to_result(answer.error().code);
    return host.run_plugin_task("secret callback", [&] { done(user, result, rap_bytes{}); });
  }
  // The message is ours alone: its text is overwritten as soon as it is decoded.
  auto& body = const_cast<boost::json::object&>(*answer->body);
  auto* text = body.if_contains("value");
  if (text == nullptr || !text->is_string()) {
    return host.run_plugin_task("secret callback",
                                [&] { done(user, RAP_E_INTERNAL, rap_bytes{}); });
  }
  auto& encoded = text->get_string();
  auto decoded = from_base64(std::string_view(encoded));
  wipe(std::span(reinterpret_cast<std::uint8_t*>(encoded.data()), encoded.size()));
  if (!decoded) {
    return host.run_plugin_task("secret callback",
                                [&] { done(user, RAP_E_INTERNAL, rap_bytes{}); });
  }
  const LockedBuffer value(*decoded);
  wipe(std::span(*decoded));
  const rap_bytes borrowed{value.bytes().data(), value.bytes().size()};
  host.run_plugin_task("secret callback", [&] { done(user, RAP_OK, borrowed); });
}

rap_result resolve(const rap_host* raw, rap_str ref, rap_secret_fn done, void* user) {
  if (done == nullptr || ref.len == 0 || ref.len > kRefMax) return RAP_E_INVALID;
  PluginHost& host = PluginHost::of(raw);
  host.post([&host, name = std::string(view(ref)), done, user] {
    boost::json::object body = {{"op", "secret.resolve"}, {"ref", name}};
    host.ask(std::move(body), {}, kTimeout, [&host, done, user](Result<ipc::Message> answer) {
      give(host, done, user, std::move(answer));
    });
  });
  return RAP_PENDING;
}

}  // namespace

const rap_host_secret_1 kSecretTable = {resolve};

}  // namespace rap::worker
