// What a session worker says, taken only as far as it can know: it runs foreign code. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

#include "base/clock.hpp"
#include "host/agent/state/attached_person.hpp"

namespace rap::agent {

// The event of this kind for the control plane, without ids and time: names and mode are those of
// `people`. nullopt for an unknown kind, for somebody who is not there, and for a viewer who is
// said to control.
std::optional<boost::json::object> person_event(const AttachedPeople& people, std::string_view kind,
                                                std::string_view attach_id,
                                                std::string_view previous_attach_id);

// `text`, when it is a time between a minute before `earliest` and a minute after `now`; else
// `now`.
std::string event_time(std::string_view text, SystemTime earliest, SystemTime now);

}  // namespace rap::agent
