// rap.host.identity/1: keys come from the agent in sealed memory, live in locked pages, and are
// shown for the length of a call.
#include <boost/json.hpp>

#include "base/json.hpp"
#include "host/worker/plugin_host/plugin_host.hpp"

namespace rap::worker {
namespace {

bool is_kind(std::uint32_t kind) {
  return kind >= RAP_IDENTITY_MESH && kind <= RAP_IDENTITY_SERVICE;
}

std::uint32_t kind_of(std::string_view name) {
  if (name == "mesh") return RAP_IDENTITY_MESH;
  if (name == "entry") return RAP_IDENTITY_ENTRY;
  return name == "service" ? RAP_IDENTITY_SERVICE : 0;
}

rap_result watch(const rap_host* raw, std::uint32_t kind, rap_identity_fn run, void* user) {
  PluginHost& host = PluginHost::of(raw);
  if (!host.on_loop_or_blame("rap.host.identity/1 watch()")) return RAP_E_STATE;
  if (run == nullptr || !is_kind(kind)) return RAP_E_INVALID;
  host.watch_identity(kind, run, user);
  return RAP_OK;
}

rap_result unwatch(const rap_host* raw, std::uint32_t kind) {
  PluginHost& host = PluginHost::of(raw);
  if (!host.on_loop_or_blame("rap.host.identity/1 unwatch()")) return RAP_E_STATE;
  return host.unwatch_identity(kind) ? RAP_OK : RAP_E_GONE;
}

rap_str part(ByteView bytes, std::size_t from, std::size_t count) {
  return {reinterpret_cast<const char*>(bytes.data()) + from, count};
}

}  // namespace

const rap_host_identity_1 kIdentityTable = {watch, unwatch};

Result<IdentityPtr> parse_identity(const boost::json::object& body, ByteView pem) {
  const std::uint32_t kind = kind_of(json_string_or_none(body, "kind").value_or(""));
  const std::string organization = json_string_or_none(body, "organization").value_or("");
  const std::string service = json_string_or_none(body, "service").value_or("");
  const std::int64_t chain = json_int_or_none(body, "chain_bytes").value_or(0);
  if (kind == 0) return fail(Errc::invalid, "identity: kind");
  const bool of_service = kind == RAP_IDENTITY_SERVICE;
  if (of_service == organization.empty() || (!of_service && !service.empty())) {
    return fail(Errc::invalid,
                "identity: an organization belongs to a service, and to nothing else");
  }
  if (!pem.empty() && (chain < 1 || static_cast<std::uint64_t>(chain) >= pem.size())) {
    return fail(Errc::invalid, "identity: chain_bytes");
  }
  if (!pem.empty() && of_service && service.empty())
    return fail(Errc::invalid, "identity: service");
  return std::make_shared<const Identity>(kind, organization, service,
                                          static_cast<std::size_t>(chain), pem);
}

void PluginHost::set_identity(IdentityPtr identity) {
  if (!granted(RAP_HOST_IDENTITY)) return;
  const IdentityKey key{identity->kind, identity->organization};
  const auto known = identities_.find(key);
  if (known == identities_.end() && identity->withdrawn()) return;
  identities_[key].identity = std::move(identity);
  tell_identity(key);
}

void PluginHost::watch_identity(std::uint32_t kind, rap_identity_fn run, void* user) {
  identity_watches_[kind] = {run, user};
  for (const auto& [key, known] : identities_) {
    if (key.first == kind) tell_identity(key);
  }
}

bool PluginHost::unwatch_identity(std::uint32_t kind) {
  return identity_watches_.erase(kind) > 0;
}

// Later (T2), and once for changes that come together.
void PluginHost::tell_identity(const IdentityKey& key) {
  if (std::exchange(identities_[key].due, true)) return;
  post([this, key] {
    const auto at = identities_.find(key);
    if (at == identities_.end()) return;
    at->second.due = false;
    const IdentityPtr now = at->second.identity;  // the function may cause another
    if (now->withdrawn()) identities_.erase(at);
    const auto watch = identity_watches_.find(key.first);
    if (watch == identity_watches_.end() || adapter_ == nullptr) return;
    const auto [run, user] = watch->second;
    const ByteView pem = now->pem.bytes();
    rap_identity given{};
    given.size = sizeof given;
    given.kind = now->kind;
    given.organization = {now->organization.data(), now->organization.size()};
    given.service = {now->service.data(), now->service.size()};
    if (!pem.empty()) {
      given.chain_pem = part(pem, 0, now->chain_bytes);
      given.key_pem = part(pem, now->chain_bytes, pem.size() - now->chain_bytes);
    }
    run_plugin_task("identity callback", [&, run = run, user = user] { run(user, &given); });
  });
}

}  // namespace rap::worker
