// rap.adapter.mesh/1: dials and streams of the mesh that the agent asks an adapter for.
#include <algorithm>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "host/worker/workload_adapter.hpp"

namespace rap::worker {
namespace {

namespace json = boost::json;

// What the agent has under way for a node, twice: more is an agent gone wrong.
constexpr std::size_t kWantedMax = 128;
constexpr std::int64_t kTimeoutMs = 10'000, kTimeoutMsMax = 60'000;
// For people, in an answer.
constexpr std::size_t kDetailMax = 512;

rap_str borrow(const std::string& text) {
  return {text.data(), text.size()};
}

std::uint64_t timeout_of(const json::object& body) {
  const std::int64_t asked = json_int_or_none(body, "timeout_ms").value_or(kTimeoutMs);
  return static_cast<std::uint64_t>(std::clamp<std::int64_t>(asked, 1, kTimeoutMsMax));
}

}  // namespace

Status WorkloadAdapter::mesh_request(ipc::IpcServer::RequestId request,
                                     const ipc::Message& message) {
  if (mesh_ == nullptr) return fail(Errc::unsupported, id_ + " has no " RAP_ADAPTER_MESH);
  if (draining_) return fail(Errc::unavailable, "draining");
  if (wanted_.size() >= kWantedMax) return fail(Errc::exhausted, "128 are being made");
  auto made = std::make_unique<Wanted>(Wanted{this, request});
  Wanted* wanted = made.get();
  wanted_.emplace(wanted, std::move(made));
  const rap_result result = ask_mesh(message, wanted);
  if (result == RAP_PENDING) {
    wanted->inside = false;
    return {};
  }
  wanted_.erase(wanted);
  // RAP_OK would be no answer at all: there is no descriptor.
  return fail(host_.error_of(message.op.c_str(), result == RAP_OK ? RAP_E_INTERNAL : result));
}

rap_result WorkloadAdapter::ask_mesh(const ipc::Message& message, Wanted* wanted) {
  const json::object& body = *message.body;
  const std::string organization = json_string_or_none(body, "organization").value_or("");
  if (message.op == "dial") {
    const std::string host = json_string_or_none(body, "host").value_or("");
    const std::int64_t port = json_int_or_none(body, "port").value_or(0);
    if (host.empty() || port < 1 || port > 65'535) return RAP_E_INVALID;
    rap_mesh_dial want{};
    want.size = sizeof want;
    want.port = static_cast<std::uint32_t>(port);
    want.host = borrow(host);
    want.organization = borrow(organization);
    want.timeout_ms = timeout_of(body);
    return host_.call("dial",
                      [&] { return mesh_->dial(host_.adapter(), &want, mesh_answer, wanted); });
  }
  const std::string target = json_string_or_none(body, "target").value_or("");
  const std::string channel_class = json_string_or_none(body, "class").value_or("");
  if (target.empty() || (channel_class != "interactive" && channel_class != "bulk")) {
    return RAP_E_INVALID;
  }
  rap_mesh_open want{};
  want.size = sizeof want;
  want.channel_class = channel_class == "bulk" ? RAP_MESH_BULK : RAP_MESH_INTERACTIVE;
  want.target = borrow(target);
  want.organization = borrow(organization);
  want.timeout_ms = timeout_of(body);
  return host_.call("open",
                    [&] { return mesh_->open(host_.adapter(), &want, mesh_answer, wanted); });
}

void WorkloadAdapter::mesh_answer(void* user, rap_result result, int given, rap_str detail) {
  auto* wanted = static_cast<Wanted*>(user);
  WorkloadAdapter& self = *wanted->self;
  Fd fd(given);
  if (!self.host_.on_loop_or_blame("rap.adapter.mesh/1 answer")) return;
  const auto at = self.wanted_.find(wanted);
  if (at == self.wanted_.end()) return;
  if (wanted->inside) {  // T2
    log::error("T2 the mesh adapter answered inside the call", {{"adapter", self.id_}});
    return;
  }
  const auto request = wanted->request;
  self.wanted_.erase(at);
  if (result == RAP_OK && fd) {
    const int fds[] = {fd.get()};
    return self.server_.answer(request, json::object{}, fds);
  }
  const Errc code = result < 0 ? to_errc(result) : Errc::internal;
  self.server_.refuse(request, {code, as_utf8(view(detail).substr(0, kDetailMax))});
}

void WorkloadAdapter::give_up_mesh_requests() {
  for (const auto& [key, wanted] : std::exchange(wanted_, {})) {
    server_.refuse(wanted->request, {Errc::unavailable, "the adapter has ended"});
  }
}

}  // namespace rap::worker
