#include "host/agent/control/mesh_certificates.hpp"

#include <boost/json.hpp>

#include "base/log.hpp"
#include "host/agent/supervise/backoff.hpp"
#include "host/agent/supervise/process.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

constexpr net::milliseconds kCallDeadline{20'000};
// How late half a life may be noticed; a host that slept has another time.
constexpr net::milliseconds kLook{10 * 60'000};

}  // namespace

MeshCertificates::MeshCertificates(Context& context, ControlClient& control, Hooks hooks)
    : context_(context), control_(control), hooks_(std::move(hooks)), wake_(context.executor) {}

void MeshCertificates::want(std::set<MeshUse> uses) {
  if (wanted_ == uses) return;
  wanted_ = std::move(uses);
  wake_.set();
}

net::Task<void> MeshCertificates::run() {
  auto stored = MeshKeys::read(context_.state.mesh_keys());
  if (stored) {
    keys_ = std::move(*stored);
  } else {
    log::error("keys of the mesh are made anew", {{"detail", stored.error().text()}});
  }
  Backoff backoff(seconds(5), seconds(600));
  bool told = false;
  while (true) {
    wake_.reset();
    if (!wanted_) {
      co_await wake_.wait();
      continue;
    }
    // First what the mesh that runs may have of the agent before, so that what is not wanted any
    // more is withdrawn from it.
    if (!std::exchange(told, true)) tell();
    const bool other = keys_.want(*wanted_);
    if (other) {
      backoff.reset();
      save();
      tell();
    }
    auto due = keys_.due(RealClock().now());
    if (due.empty()) {
      co_await wake_.wait_for(kLook);
      continue;
    }
    auto asked = co_await ask(std::move(due));
    if (!asked) log::warn("mesh certificates not given", {{"detail", asked.error().text()}});
    if (asked && *asked) {
      backoff.reset();
      continue;
    }
    co_await wake_.wait_for(backoff.next(random_number()));
  }
}

net::Task<Result<bool>> MeshCertificates::ask(std::vector<MeshUse> uses) {
  auto requests = keys_.requests(uses);
  if (!requests) co_return fail(std::move(requests.error()));
  bool all = true;
  for (const json::object& body : *requests) {
    auto answer = co_await control_.post("/v1/node/certificates", body, kCallDeadline);
    if (!answer) co_return fail(std::move(answer.error()));
    if (!answer->is_object()) co_return fail(Errc::malformed, "certificates: want an object");
    const Node node = hooks_.node();
    auto refused = keys_.take(answer->get_object(), node.cluster_id, node.node_id,
                              node.cluster_ca_pem, RealClock().now());
    if (!refused) co_return fail(std::move(refused.error()));
    for (const MeshRefusal& each : *refused) {
      all = false;
      log::warn("mesh certificate refused", {{"purpose", each.purpose},
                                             {"organization", each.organization},
                                             {"code", each.code},
                                             {"detail", each.detail}});
    }
    save();
    tell();
  }
  co_return all;
}

void MeshCertificates::save() {
  // On disk before in use; where that fails the keys are good for this life of the agent.
  if (Status written = keys_.write(context_.state.mesh_keys()); !written) {
    log::error("keys of the mesh are not kept", {{"detail", written.error().text()}});
  }
}

void MeshCertificates::tell() {
  hooks_.changed(std::make_shared<const MeshHand>(MeshHand{keys_, hooks_.node().cluster_ca_pem}));
}

}  // namespace rap::agent
