// The node's identities, handed to a workload of the mesh.
#include <boost/json.hpp>

#include "base/log.hpp"
#include "base/secret.hpp"
#include "host/agent/supervise/zygote.hpp"
#include "host/loader/sealed_memfd.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

constexpr net::milliseconds kSendTimeout{10'000};  // usually a millisecond

}  // namespace

void Zygote::set_identities(MeshHandPtr identities) {
  const MeshHandPtr before = std::exchange(identities_, std::move(identities));
  if (before != nullptr && identities_ != nullptr) {
    // A process of an earlier agent may have what is gone now, whoever gave it: it is withdrawn.
    for (const auto& [use, key] : before->keys.all()) {
      if (!identities_->keys.all().contains(use)) identities_sent_.try_emplace(use, "");
    }
  }
  if (ready_.is_set()) context_.tasks.spawn("identities", resend_identities(shared_from_this()));
}

net::Task<void> Zygote::resend_identities(std::shared_ptr<Zygote> self) {
  Status sent = co_await self->send_identities();
  // A lost connection sends them again with the next one.
  if (!sent) {
    log::warn("identities not sent", {{"instance", self->name_}, {"detail", sent.error().text()}});
  }
}

std::optional<MeshUse> Zygote::next_identity() const {
  for (const auto& [use, key] : identities_->keys.all()) {
    const auto sent = identities_sent_.find(use);
    const std::string& had = sent == identities_sent_.end() ? "" : sent->second;
    if (key.certificate_pem != had) return use;
  }
  for (const auto& [use, certificate] : identities_sent_) {
    if (!identities_->keys.all().contains(use)) return use;
  }
  return std::nullopt;
}

net::Task<Status> Zygote::send_identities() {
  if (!spec_.asks_for("rap.host.identity/1") || identities_ == nullptr) co_return Status();
  // Who sends already looks for what is new until there is nothing.
  if (std::exchange(sending_identities_, true)) co_return Status();
  Status out;
  while (out) {
    const auto use = next_identity();
    if (!use) break;
    out = co_await send_identity(*use);
  }
  sending_identities_ = false;
  co_return out;
}

net::Task<Status> Zygote::send_identity(MeshUse use) {
  if (process_ == nullptr) co_return fail(Errc::unavailable, "the worker is not running");
  const auto found = identities_->keys.all().find(use);
  const bool gone = found == identities_->keys.all().end();
  const MeshKey key = gone ? MeshKey() : found->second;
  json::object body{
      {"op", "identity"}, {"kind", agent::name(use.first)}, {"organization", use.second}};
  std::vector<Fd> fds;
  if (!gone) {
    const std::string chain = key.certificate_pem + identities_->cluster_ca_pem;
    std::string text = chain + key.key_pem;
    auto sealed = loader::seal_bytes(as_bytes(text), "identity");
    wipe(text);
    if (!sealed) co_return fail(sealed.error(), "identity");
    fds.push_back(std::move(sealed->fd));
    body["chain_bytes"] = chain.size();
    body["service"] = key.service_id;
  }
  auto taken = co_await process_->call(body, std::move(fds), kSendTimeout);
  if (!taken) co_return fail(taken.error(), "identity");
  if (gone) {
    identities_sent_.erase(use);
  } else {
    identities_sent_[use] = key.certificate_pem;
  }
  co_return Status();
}

}  // namespace rap::agent
