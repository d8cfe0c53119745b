// What a zygote does more when its worker runs a workload.
#include <signal.h>

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "host/agent/supervise/workload_port.hpp"
#include "host/agent/supervise/zygote.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

constexpr net::milliseconds kEquipTimeout{10'000};  // usually a millisecond
constexpr std::int64_t kDialMsMax = 30'000;
constexpr std::size_t kNoteMax = 128;  // rap_health.note

std::vector<ServiceReport> services_of(const json::object& status) {
  std::vector<ServiceReport> out;
  const auto list = json_array(status, "services");
  if (!list) return out;
  for (const json::value& item : **list) {
    if (!item.is_object()) continue;
    out.push_back({json_string_or_none(item.get_object(), "service").value_or(""),
                   json_string_or_none(item.get_object(), "address").value_or("")});
  }
  return out;
}

// Is `has` what the host's configuration asks for? Port 0 is content with any.
bool is_at(const ServiceReport& has, const ServiceAddress& wanted) {
  if (has.service != wanted.service) return false;
  if (!wanted.listen.ends_with(":0")) return has.address == wanted.listen;
  return has.address.starts_with(wanted.listen.substr(0, wanted.listen.size() - 1));
}

}  // namespace

net::Task<Status> Zygote::equip(ipc::JsonPtr status) {
  services_ = services_of(*status);
  on_status(*status);
  std::vector<ServiceAddress> wanted;
  for (const ServiceAddress& entry : context_.config.services) {
    if (entry.role == spec_.role) wanted.push_back(entry);
  }
  for (std::size_t i = 0; i < services_.size();) {
    const ServiceReport has = services_[i];
    const bool stays = std::any_of(wanted.begin(), wanted.end(),
                                   [&](const ServiceAddress& want) { return is_at(has, want); });
    if (stays) {
      ++i;
      continue;
    }
    json::object body{{"op", "unlisten"}, {"service", has.service}};
    std::vector<Fd> none;
    auto gone = co_await process_->call(body, std::move(none), kEquipTimeout);
    if (!gone) co_return fail(gone.error(), "service " + has.service);
    services_.erase(services_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (const ServiceAddress& want : wanted) {
    const bool there = std::any_of(services_.begin(), services_.end(),
                                   [&](const ServiceReport& has) { return is_at(has, want); });
    if (there) continue;
    auto socket = listen_tcp(want.listen);
    if (!socket) co_return fail(socket.error(), "service " + want.service);
    json::object body{{"op", "listen"}, {"service", want.service}, {"address", socket->address}};
    std::vector<Fd> fds;
    fds.push_back(std::move(socket->fd));
    auto given = co_await process_->call(body, std::move(fds), kEquipTimeout);
    if (!given) co_return fail(given.error(), "service " + want.service);
    log::info("service listens", {{"instance", name_},
                                  {"workload", spec_.release.manifest.product},
                                  {"service", want.service},
                                  {"address", socket->address}});
    services_.push_back({want.service, socket->address});
  }
  Status sent = co_await send_documents();
  if (!sent) co_return sent;
  co_return co_await send_identities();
}

void Zygote::on_status(const json::object& status) {
  const auto adapters = json_array(status, "adapters");
  if (!adapters) return on_health(status);  // a worker of an earlier release
  std::map<std::string, bool> there;
  for (const json::value& item : **adapters) {
    if (!item.is_object()) continue;
    const std::string id = json_string_or_none(item.get_object(), "adapter").value_or("");
    const auto draining = json_bool(item.get_object(), "draining");
    if (id != spec_.adapter.id) there.emplace(id, draining && *draining);
  }
  joined_.found(there, process_->record().joined);
  for (const json::value& item : **adapters) {
    if (item.is_object()) on_health(item.get_object());
  }
  joined_wake_.set();
}

void Zygote::on_health(const json::object& message) {
  const auto health = json_object(message, "health");
  if (!health) return;
  const std::string level = json_string_or_none(**health, "level").value_or("");
  std::string note = json_string_or_none(**health, "note").value_or("").substr(0, kNoteMax);
  const auto adapter = json_string_or_none(message, "adapter");
  if (adapter && *adapter != spec_.adapter.id) {
    joined_.health(*adapter, level, std::move(note));
    joined_wake_.set();
    return tell_joined();
  }
  health_ = {level, std::move(note)};
  if (ready_.is_set()) show_health();
}

void Zygote::show_health() {
  if (health_.level == "ok") return set(WorkloadState::running, health_.note);
  const std::string note = health_.note.empty() ? "the adapter gives no reason" : health_.note;
  if (health_.level != "failed") return set(WorkloadState::degraded, note);
  // It says that it cannot go on; a fresh start may, and too many of them are given up. The worker
  // stops the adapter; one that hangs in that is killed by its own watchdog.
  failure_ = "the adapter failed: " + note;
  if (process_ != nullptr) process_->signal(SIGTERM);
}

net::Task<void> Zygote::stream_open(std::shared_ptr<Zygote> self, ipc::Message message) {
  Zygote& z = *self;
  const std::string target = json_string_or_none(*message.body, "target").value_or("");
  const std::int64_t asked = json_int_or_none(*message.body, "timeout_ms").value_or(10'000);
  const net::milliseconds limit(std::clamp<std::int64_t>(asked, 100, kDialMsMax));
  Result<Fd> socket = fail(Errc::unsupported, "this agent opens no streams for workloads");
  if (z.hooks_.open_stream) {
    socket = co_await z.hooks_.open_stream(z.spec_.role, z.spec_.organization, target, limit);
  }
  if (z.process_ == nullptr) co_return;
  if (!socket) {
    log::warn("stream refused", {{"instance", z.name_},
                                 {"target", target.substr(0, 64)},
                                 {"detail", socket.error().text()}});
    z.process_->refuse(*message.id, socket.error());
    co_return;
  }
  const int fds[] = {socket->get()};
  z.process_->answer(*message.id, json::object{}, fds);
}

}  // namespace rap::agent
