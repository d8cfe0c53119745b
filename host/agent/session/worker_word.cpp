#include "host/agent/session/worker_word.hpp"

#include <boost/json.hpp>

namespace rap::agent {

namespace {
// Both read the same clock; a slow machine and a batch of events lie between.
constexpr std::chrono::seconds kTimeSlack{60};
}  // namespace

std::optional<boost::json::object> person_event(const AttachedPeople& people, std::string_view kind,
                                                std::string_view attach_id,
                                                std::string_view previous_attach_id) {
  const bool controls = kind == "attached" || kind == "taken_over" || kind == "detached";
  if (!controls && kind != "view_joined" && kind != "view_left") return std::nullopt;
  const AttachedPerson* who = find_person(people, attach_id);
  if (who == nullptr || (who->mode == "control") != controls) return std::nullopt;
  boost::json::object out{{"kind", kind},
                          {"user_id", who->user_id},
                          {"user_name", who->user_name},
                          {"mode", who->mode}};
  if (kind != "taken_over") return out;
  const AttachedPerson* previous = find_person(people, previous_attach_id);
  if (previous != nullptr) out["previous_user_name"] = previous->user_name;
  return out;
}

std::string event_time(std::string_view text, SystemTime earliest, SystemTime now) {
  const auto said = from_rfc3339(text);
  const bool fits = said && *said >= earliest - kTimeSlack && *said <= now + kTimeSlack;
  return to_rfc3339(fits ? *said : now);
}

}  // namespace rap::agent
