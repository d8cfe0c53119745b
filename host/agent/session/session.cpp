#include "host/agent/session/session.hpp"

#include <algorithm>
#include <utility>

#include <boost/json.hpp>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/secret.hpp"
#include "base/text.hpp"
#include "host/agent/session/worker_word.hpp"

namespace rap::agent {
namespace {

namespace json = boost::json;

constexpr net::milliseconds kHelloTimeout{5'000};
constexpr net::milliseconds kOpenTimeout{10'000};
constexpr net::milliseconds kAttachTimeout{5'000};
constexpr net::milliseconds kCloseTimeout{5'000};
constexpr std::int64_t kDialMsMax = 30'000;
constexpr int kReconnectTries = 5;
constexpr net::milliseconds kZygoteTells{1'000};  // it may have gone with all its workers
// After a hello events come that were kept while nobody listened.
constexpr std::chrono::seconds kKeptEventsTime{60};

std::string now_text() {
  return to_rfc3339(RealClock().now());
}

std::string text_of(const ipc::Message& message, std::string_view key) {
  return json_string_or_none(*message.body, key).value_or("");
}

}  // namespace

Session::Session(Context& context, SessionEvents& events, Powers powers, InstanceRecord record)
    : context_(context),
      events_(events),
      powers_(std::move(powers)),
      told_(context.executor),
      process_(context, std::move(record),
               [this](ipc::Message message) { on_message(std::move(message)); }) {
  report_.session_id = process_.record().session;
  heard_until_ = from_unix_seconds(process_.record().opened_unix_s);
}

Session::~Session() = default;

Result<Fd> Session::prepare() {
  return process_.prepare();
}

net::Task<Status> Session::connect() {
  connected_at_ = std::chrono::steady_clock::now();
  auto hello = co_await process_.connect(kHelloTimeout);
  if (!hello) co_return fail(hello.error(), "session worker");
  // What is true is what the worker says, not what was last heard.
  json::object body{{"op", "status"}};
  std::vector<Fd> none;
  auto status = co_await process_.call(body, std::move(none), kHelloTimeout);
  if (!status) co_return fail(status.error(), "session worker");
  if (const std::string state = text_of(*status, "state"); !state.empty()) report_.state = state;
  report_.detail = text_of(*status, "detail");
  report_.controller.clear();
  report_.viewers = 0;
  if (auto attachments = json_array(*status->body, "attachments")) {
    for (const json::value& item : **attachments) {
      if (!item.is_object()) continue;
      const json::object& attachment = item.get_object();
      const AttachedPerson* person =
          find_person(record().people, json_string_or_none(attachment, "attach_id").value_or(""));
      if (person == nullptr) continue;
      if (person->mode == "view") {
        ++report_.viewers;
      } else {
        report_.controller = person->user_name;
      }
    }
  }
  co_return Status();
}

net::Task<Status> Session::open(Fd pidfd, json::object open_request) {
  Status started = process_.started(std::move(pidfd));
  if (!started) co_return started;
  connected_at_ = std::chrono::steady_clock::now();
  auto hello = co_await process_.connect(kHelloTimeout);
  if (!hello) co_return fail(hello.error(), "session worker");
  std::vector<Fd> none;
  auto opened = co_await process_.call(open_request, std::move(none), kOpenTimeout);
  if (!opened) co_return fail(std::move(opened.error()));
  co_return Status();
}

Status Session::adopt() {
  return process_.adopt();
}

net::Task<void> Session::watch(std::shared_ptr<Session> self) {
  Session& s = *self;
  int failures = 0;
  while (s.process_.running()) {
    if (!s.process_.connected()) {
      Status back = co_await s.connect();
      if (!back) {
        log::warn("session worker does not answer",
                  {{"session", s.report_.session_id}, {"detail", back.error().text()}});
        if (++failures >= kReconnectTries) {
          co_await s.process_.terminate(kCloseTimeout);
          break;
        }
        co_await s.process_.exited().wait_for(net::milliseconds(500));
        continue;
      }
      failures = 0;
    }
    co_await s.process_.disconnected().wait();
    s.heard_until_ = RealClock().now();
    co_await s.process_.ends_soon();
  }
  // It is the zygote's child: how it ended is that one's word, and follows within moments.
  if (!s.ended_ && !s.process_.exit_info().known()) co_await s.told_.wait_for(kZygoteTells);
  s.report_lost();
  if (s.powers_.ended) s.powers_.ended(s.report_.session_id);
}

void Session::report_lost() {
  if (ended_) return;
  ended_ = true;
  ++context_.counters.processes_lost;
  const ExitInfo& own = process_.exit_info();
  const ExitInfo& how = own.known() ? own : exit_;
  report_.state = "failed";
  report_.detail = worker_end_text("the session worker", how);
  log::error("session lost", {{"session", report_.session_id}, {"detail", report_.detail}});
  json::object event{{"event_id", event_id_of(report_.session_id, record().nonce, -1)},
                     {"session_id", report_.session_id},
                     {"kind", "state"},
                     {"state", "failed"},
                     {"detail", report_.detail},
                     {"at", now_text()}};
  (void)events_.keep(event);  // a failure was logged; the heartbeat says the same
}

void Session::note_exit(const ExitInfo& how) {
  exit_ = how;
  told_.set();
}

net::Task<Status> Session::attach(json::object attach_request, Fd stream) {
  // Noted first: its events may come before the answer, or to the next agent.
  AttachedPerson person{json_string_or_none(attach_request, "attach_id").value_or(""),
                        json_string_or_none(attach_request, "user_id").value_or(""),
                        json_string_or_none(attach_request, "user_name").value_or(""),
                        json_string_or_none(attach_request, "mode").value_or("")};
  AttachedPeople people = record().people;
  add_person(people, std::move(person));
  if (Status noted = process_.note_people(std::move(people)); !noted) co_return noted;
  std::vector<Fd> fds;
  fds.push_back(std::move(stream));
  auto answer = co_await process_.call(attach_request, std::move(fds), kAttachTimeout);
  // A session that ended meanwhile said why; "the connection is closed" helps nobody.
  if (!answer && ended_ && !report_.detail.empty()) {
    co_return fail(Errc::conflict, "the session has ended: " + report_.detail);
  }
  if (!answer) co_return fail(std::move(answer.error()));
  ++context_.counters.attachments;
  co_return Status();
}

bool Session::has(std::string_view user_id) const {
  return std::ranges::any_of(record().people,
                             [&](const auto& person) { return person.user_id == user_id; });
}

net::Task<void> Session::drop(std::shared_ptr<Session> self, std::string user_id,
                              std::string detail) {
  json::object body{{"op", "drop"}, {"user_id", user_id}, {"detail", detail}};
  std::vector<Fd> none;
  auto answer = co_await self->process_.call(body, std::move(none), kCloseTimeout);
  const std::string& session = self->report_.session_id;
  if (!answer) {
    // `unsupported`: a worker of an earlier release, where the place lasts as long as the session.
    log::warn("person not detached",
              {{"session", session}, {"user", user_id}, {"detail", answer.error().text()}});
    co_return;
  }
  log::info("person detached", {{"session", session},
                                {"user", user_id},
                                {"count", json_int_or_none(*answer->body, "dropped").value_or(0)}});
}

net::Task<Status> Session::close(std::string reason, std::string by) {
  json::object body{{"op", "close"}, {"reason", reason}, {"by", by}};
  std::vector<Fd> none;
  auto answer = co_await process_.call(body, std::move(none), kCloseTimeout);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return Status();
}

net::Task<void> Session::terminate(net::milliseconds grace) {
  const bool ended = co_await process_.exited().wait_for(grace);
  if (!ended) co_await process_.terminate(grace);
}

void Session::on_message(ipc::Message message) {
  if (message.op == "state") return on_state(message);
  if (message.op == "event") return on_event(message);
  if (message.op == "stream.open" && message.id) {
    context_.tasks.spawn("stream.open", stream_open(shared_from_this(), std::move(message)));
    return;
  }
  if (message.op == "secret.resolve" && message.id) {
    context_.tasks.spawn("secret.resolve", secret_resolve(shared_from_this(), std::move(message)));
    return;
  }
  if (message.op == "log") {
    if (!keep_line(lines_, context_.counters, record().name)) return;
    log::write(log::level_from_name(text_of(message, "level")), text_of(message, "message"),
               {{"instance", record().name},
                {"session", report_.session_id},
                {"workload", record().product},
                {"organization", record().organization}});
    return;
  }
  if (message.id) process_.refuse(*message.id, Error{Errc::unsupported, message.op});
}

void Session::keep_and_ack(const ipc::Message& message, json::object event,
                           std::function<void(Session&)> then) {
  const auto seq = json_int_or_none(*message.body, "event_seq");
  if (!seq) return;
  event["event_id"] = event_id_of(report_.session_id, record().nonce, *seq);
  event["session_id"] = report_.session_id;
  const SystemTime now = RealClock().now();
  const bool fresh = std::chrono::steady_clock::now() - connected_at_ < kKeptEventsTime;
  event["at"] = event_time(text_of(message, "at"), fresh ? heard_until_ : now, now);
  // Not durable, not acknowledged. The session may be over when the disk takes it.
  auto kept = [weak = weak_from_this(), seq = *seq, then = std::move(then)] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    if (then) then(*self);
    self->process_.ack(seq);
  };
  (void)events_.keep(event, std::move(kept));
}

// Its acknowledgement would be one for every earlier event too.
void Session::drop(const ipc::Message& message) {
  const auto seq = json_int_or_none(*message.body, "event_seq");
  if (seq && events_.disk_trouble().empty()) process_.ack(*seq);
}

void Session::settle(const std::string& kind, const std::string& attach_id,
                     const std::string& previous) {
  AttachedPeople people = record().people;
  if (kind == "detached" || kind == "view_left") {
    remove_person(people, attach_id);
  } else {
    mark_present(people, attach_id);
  }
  // Nothing more is told of somebody whose place was taken.
  if (kind == "taken_over") remove_person(people, previous);
  if (people == record().people) return;
  if (Status noted = process_.note_people(std::move(people)); !noted) {
    log::warn("session record not written",
              {{"session", report_.session_id}, {"detail", noted.error().text()}});
  }
}

void Session::on_state(const ipc::Message& message) {
  const std::string state = text_of(message, "state");
  constexpr std::string_view kStates[] = {"opening", "active", "detached",
                                          "closing", "closed", "failed"};
  if (std::find(std::begin(kStates), std::end(kStates), state) == std::end(kStates)) return;
  report_.state = state;
  report_.detail = utf8_prefix(text_of(message, "detail"), 512);
  if (state == "closed" || state == "failed") ended_ = true;
  if (state != "active") report_.controller.clear();
  log::info("session state",
            {{"session", report_.session_id}, {"state", state}, {"detail", report_.detail}});
  json::object event{{"kind", "state"}, {"state", state}, {"detail", report_.detail}};
  // A plugin's word: no number that no process ends with.
  const auto status = json_int_or_none(*message.body, "exit_status");
  if (status && std::in_range<std::int32_t>(*status)) event["exit_status"] = *status;
  keep_and_ack(message, std::move(event));
}

void Session::on_event(const ipc::Message& message) {
  const std::string kind = text_of(message, "kind");
  const std::string attach_id = text_of(message, "attach_id");
  const std::string previous = text_of(message, "previous_attach_id");
  auto event = person_event(record().people, kind, attach_id, previous);
  if (!event) {
    // Also one that is told again, whose person has left since.
    ++context_.counters.events_unfounded;
    return drop(message);
  }
  if (kind == "attached" || kind == "taken_over") {
    report_.controller = find_person(record().people, attach_id)->user_name;
  } else if (kind == "detached") {
    report_.controller.clear();
  } else if (kind == "view_joined") {
    ++report_.viewers;
  } else if (kind == "view_left") {
    report_.viewers = std::max(0, report_.viewers - 1);
  }
  auto then = [kind, attach_id, previous](Session& self) {
    self.settle(kind, attach_id, previous);
  };
  keep_and_ack(message, std::move(*event), std::move(then));
}

net::Task<void> Session::stream_open(std::shared_ptr<Session> self, ipc::Message message) {
  Session& s = *self;
  const std::string target = text_of(message, "target");
  Result<SessionTarget> allowed = fail(Errc::forbidden, "not this session's target");
  if (target == s.record().resource) {
    allowed = s.powers_.target(s.record().resource, s.record().organization);
  }
  if (!allowed) {
    ++s.context_.counters.dials_refused;
    log::warn("dial refused", {{"session", s.report_.session_id},
                               {"target", target.substr(0, 64)},
                               {"detail", allowed.error().text()}});
    s.process_.refuse(*message.id, allowed.error());
    co_return;
  }
  const std::int64_t asked = json_int_or_none(*message.body, "timeout_ms").value_or(10'000);
  const net::milliseconds limit(std::clamp<std::int64_t>(asked, 100, kDialMsMax));
  auto socket =
      co_await s.powers_.dial(s.record().organization, allowed->host, allowed->port, limit);
  if (!socket) {
    const std::string where = allowed->host + ":" + std::to_string(allowed->port);
    log::warn(
        "target not reached",
        {{"session", s.report_.session_id}, {"address", where}, {"detail", socket.error().text()}});
    s.process_.refuse(*message.id, {socket.error().code, where + ": " + socket.error().detail});
    co_return;
  }
  ++s.context_.counters.dials;
  const int fds[] = {socket->get()};
  s.process_.answer(*message.id, json::object{}, fds);
}

net::Task<void> Session::secret_resolve(std::shared_ptr<Session> self, ipc::Message message) {
  Session& s = *self;
  const std::string ref = text_of(message, "ref");
  auto target = s.powers_.target(s.record().resource, s.record().organization);
  Result<std::string> value = fail(Errc::forbidden, "not this session's secret");
  if (target && !ref.empty() && ref == target->secret_ref) {
    value = co_await s.powers_.secret(s.report_.session_id, ref);
  }
  if (!value) {
    ++s.context_.counters.secrets_refused;
    log::warn("secret refused",
              {{"session", s.report_.session_id}, {"detail", value.error().text()}});
    s.process_.refuse(*message.id, value.error());
    co_return;
  }
  ++s.context_.counters.secrets_resolved;
  json::object answer;
  json::string& slot = answer["value"].emplace_string();
  slot = *value;
  wipe(*value);
  s.process_.answer(*message.id, answer);
  wipe(std::span(reinterpret_cast<std::uint8_t*>(slot.data()), slot.size()));
}

}  // namespace rap::agent
