// Whom a row of the audit log is about, for the table.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

namespace rap::cli {

// The name of the actor. What a node tells of a person is the node's word, so the actor is the
// node: "Olga Owner via node berlin-1", or "via a node" where the reader is not told which.
std::string who_of(const boost::json::value& event);

}  // namespace rap::cli
