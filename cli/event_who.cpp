#include "cli/event_who.hpp"

#include <boost/json.hpp>

#include "cli/output.hpp"

namespace rap::cli {

std::string who_of(const boost::json::value& event) {
  const std::string actor = text_at(event, "actor.name");
  const std::string person = text_at(event, "detail.user_name");
  const bool of_node = text_at(event, "actor.kind") == "node";
  const bool of_person = text_at(event, "kind").starts_with("session.") && person != "-";
  if (!of_node || !of_person) return actor;
  return person + " via " + (actor == "a node" ? "" : "node ") + actor;
}

}  // namespace rap::cli
