// Roles that a workload of the mesh fills beside its own.
#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"
#include "host/agent/supervise/zygote.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;
using std::chrono::steady_clock;

constexpr net::milliseconds kStepTimeout{30'000};   // as a load
constexpr net::milliseconds kDrainLimit{30'000};    // as a workload that is replaced
constexpr net::milliseconds kLongest{60 * 60'000};  // of a wait that something else ends

}  // namespace

void Zygote::set_joined(const std::vector<JoinedRole>& roles) {
  joined_.want(roles);
  joined_wake_.set();
  tell_joined();
}

JoinedAdapters::State Zygote::state_of(const std::string& adapter) const {
  if (adapter == spec_.adapter.id) return {state_, detail_};
  const auto states = joined_.states();
  const auto found = states.find(adapter);
  if (ready_.is_set() && found != states.end()) return found->second;
  return {state_ == WorkloadState::running ? WorkloadState::starting : state_,
          "its process, that of " + spec_.role + ": " + detail_};
}

void Zygote::tell_joined() {
  if (!ready_.is_set()) return;
  auto now = joined_.states();
  if (now == joined_told_) return;
  for (const auto& [adapter, state] : now) {
    const auto before = joined_told_.find(adapter);
    if (before != joined_told_.end() && before->second == state) continue;
    // How many peers or streams there are is no line each time.
    const bool was_well =
        before != joined_told_.end() && before->second.first == WorkloadState::running;
    if (was_well && state.first == WorkloadState::running) continue;
    log::write(state.first == WorkloadState::failed ? log::Level::error : log::Level::info,
               "adapter state",
               {{"instance", name_},
                {"workload", spec_.release.manifest.product},
                {"adapter", adapter},
                {"state", agent::name(state.first)},
                {"detail", state.second}});
  }
  joined_told_ = std::move(now);
  if (hooks_.changed) hooks_.changed();
}

net::Task<void> Zygote::arrange(std::shared_ptr<Zygote> self) {
  Zygote& z = *self;
  while (!z.stopping_) {
    z.joined_wake_.reset();
    if (z.ready_.is_set()) {
      auto step = z.joined_.next(steady_clock::now());
      if (step) {
        co_await z.take_step(*std::move(step));
        z.tell_joined();
        continue;
      }
    }
    net::milliseconds pause = kLongest;
    if (const auto at = z.joined_.next_at(); at && z.ready_.is_set()) {
      pause = std::chrono::ceil<net::milliseconds>(*at - steady_clock::now());
    }
    co_await z.joined_wake_.wait_for(std::max(pause, net::milliseconds(1)));
  }
}

net::Task<void> Zygote::take_step(JoinedAdapters::Step step) {
  if (step.kind == JoinedAdapters::Step::Kind::add) {
    co_await add_adapter(std::move(step.role));
    co_return;
  }
  const bool drains = step.kind == JoinedAdapters::Step::Kind::remove;
  json::object body{{"op", "adapter.remove"},
                    {"adapter", step.adapter},
                    {"drain_ms", drains ? kDrainLimit.count() : 0}};
  std::vector<Fd> none;
  joined_.leaving(step.adapter);
  auto gone = co_await process_->call(body, std::move(none), kStepTimeout);
  if (!gone) {
    log::warn("adapter not removed",
              {{"instance", name_}, {"adapter", step.adapter}, {"detail", gone.error().text()}});
    co_await look_again();
  }
}

net::Task<void> Zygote::add_adapter(JoinedRole role) {
  const std::string id = role.adapter.id;
  const auto fails = [&](const Error& why) {
    joined_.refused(id, why, steady_clock::now(), random_number());
  };
  auto grants = grants_for(role.adapter);
  auto config = parse_json(role.config_json);
  if (!grants || !config) {
    const Error why = grants ? config.error() : grants.error();
    co_return fails(Error{Errc::invalid, why.detail});
  }
  json::array granted;
  for (const std::string& grant : *grants) granted.emplace_back(grant);
  json::object body{{"op", "adapter.add"},
                    {"adapter", id},
                    {"config", *std::move(config)},
                    {"grants", std::move(granted)}};
  // The record comes first: the next agent must know what an adapter runs with.
  JoinedRecords records = joined_.records();
  records[id] = configuration_hash(role.config_json);
  note_joined(std::move(records));
  std::vector<Fd> none;
  auto answer = co_await process_->call(body, std::move(none), kStepTimeout);
  // The process may have ended meanwhile, and even another one begun.
  if (!ready_.is_set() || process_ == nullptr) co_return;
  if (answer) {
    joined_.added(role, steady_clock::now());
    take_health(*answer->body, id);
    co_return;
  }
  fails(answer.error());
  // It may be there all the same: an answer that came too late, a request of the agent before.
  // Where the worker does not say now, it does with the next connection, and the note must be
  // there.
  bool known = answer.error().code == Errc::invalid;
  if (!known) known = co_await look_again();
  if (known) note_joined(joined_.records());
}

void Zygote::take_health(const json::object& status, const std::string& adapter) {
  const auto adapters = json_array(status, "adapters");
  if (!adapters) return;
  for (const json::value& item : **adapters) {
    if (!item.is_object()) continue;
    if (json_string_or_none(item.get_object(), "adapter") == adapter) on_health(item.get_object());
  }
}

net::Task<bool> Zygote::look_again() {
  auto status = co_await ask_status();
  if (!status || !ready_.is_set()) co_return false;
  on_status(*status->body);
  co_return true;
}

net::Task<Result<ipc::Message>> Zygote::ask_status() {
  if (process_ == nullptr) co_return fail(Errc::unavailable, "the worker is not running");
  json::object body{{"op", "status"}};
  std::vector<Fd> none;
  co_return co_await process_->call(body, std::move(none), kStepTimeout);
}

void Zygote::note_joined(JoinedRecords records) {
  if (process_ == nullptr) return;
  if (Status noted = process_->note_joined(std::move(records)); !noted) {
    log::error("adapters are not noted", {{"instance", name_}, {"detail", noted.error().text()}});
  }
}

}  // namespace rap::agent
