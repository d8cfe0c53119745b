// Names where ids are asked for.
#pragma once

#include <string>
#include <vector>

#include "cli/api.hpp"

namespace rap::cli {

struct Kind {
  std::string name;               // for messages: "cluster"
  std::string prefix;             // of its ids: "cls_"
  std::vector<std::string> keys;  // members that a person may call it by
};

extern const Kind kCluster, kNode, kNodeGroup, kOrganization, kMembership, kUser, kResource,
    kSecret;

// `text` when it is an id, else the id of the one thing in the list at `path` that is called so.
// Throws Failure: not found (naming what there is), or ambiguous (naming the ids).
std::string resolve(Api& api, const Kind& kind, const std::string& path, const std::string& text);

// The same among things that were listed already.
std::string resolve_among(const boost::json::array& items, const Kind& kind,
                          const std::string& text);

// `text` resolved; when it is empty the only one there is. Throws when there are more, or none.
std::string resolve_or_only(Api& api, const Kind& kind, const std::string& path,
                            const std::string& text, const std::string& option);

}  // namespace rap::cli
