#include "plugins/mesh/role_adapters.hpp"

#include <fmt/format.h>

#include "plugins/mesh/identity.hpp"
#include "plugins/mesh/tell.hpp"

namespace rap::mesh {
namespace {

constexpr const char* kNoCore = "needs the role core-mesh on this node";

}  // namespace

// ---- relay ----

void RelayAdapter::start() {
  shared_ = Shared::get();
  shared_->relay = [this] { shared_->on_mesh([](Mesh& mesh) { mesh.start_relay(); }); };
  shared_->relay();
}

void RelayAdapter::drain(std::uint64_t) {
  if (shared_ == nullptr) return;
  draining_ = true;
  shared_->relay = nullptr;
  shared_->on_mesh([](Mesh& mesh) { mesh.drain_relay(); });
}

void RelayAdapter::stop() {
  if (shared_ == nullptr) return;
  shared_->relay = nullptr;
  shared_->on_mesh([](Mesh& mesh) { mesh.end_relay(); });
  shared_.reset();
}

void RelayAdapter::health(rap_health& out) {
  if (shared_ == nullptr) return;
  const Picture now = shared_->board().read();
  out.streams = open_streams(now.relayed, draining_ && shared_->has_mesh(), now.relay_drains);
  tell(out, shared_->has_mesh() ? "" : kNoCore, fmt::format("{} streams relayed", now.relayed));
}

// ---- entry ----

void EntryAdapter::start() {
  shared_ = Shared::get();
  // Nobody keeps the key until there is a mesh: then the host is asked for it again.
  shared_->entry = [this] { watch(); };
  watch();
}

void EntryAdapter::watch() {
  const auto& identities = host.need<rap_host_identity_1>();
  check(identities.watch(host.raw, RAP_IDENTITY_ENTRY,
                         identity<EntryAdapter, &EntryAdapter::on_identity>, this),
        "identity");
}

void EntryAdapter::on_identity(const rap_identity& given) {
  if (shared_ == nullptr || draining_) return;
  const auto taken = copy_identity(given);
  shared_->on_mesh([taken](Mesh& mesh) { mesh.set_entry(taken); });
}

void EntryAdapter::drain(std::uint64_t) {
  if (shared_ == nullptr) return;
  draining_ = true;
  shared_->entry = nullptr;
  shared_->on_mesh([](Mesh& mesh) { mesh.drain_entry(); });
}

void EntryAdapter::stop() {
  if (shared_ == nullptr) return;
  shared_->entry = nullptr;
  shared_->on_mesh([](Mesh& mesh) { mesh.end_entry(); });
  shared_.reset();
}

void EntryAdapter::health(rap_health& out) {
  if (shared_ == nullptr) return;
  const Picture now = shared_->board().read();
  out.streams = open_streams(now.entered, draining_ && shared_->has_mesh(), now.entry_drains);
  std::string trouble;
  if (!shared_->has_mesh()) {
    trouble = kNoCore;
  } else if (!now.entry && !draining_) {
    trouble = now.trouble.empty() ? "waits for its certificate" : now.trouble;
  }
  tell(out, trouble, fmt::format("{} people, {} streams", now.people, now.entered));
}

}  // namespace rap::mesh
