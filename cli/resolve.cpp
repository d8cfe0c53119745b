#include "cli/resolve.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/id.hpp"
#include "cli/output.hpp"

namespace rap::cli {
namespace {

// Enough to recognise a typing mistake in.
constexpr std::size_t kNamesShown = 8;

std::string names_of(const json::array& items, const Kind& kind) {
  std::string out;
  for (std::size_t i = 0; i < std::min(items.size(), kNamesShown); ++i) {
    out += (out.empty() ? "" : ", ") + text_at(items[i], kind.keys.front());
  }
  if (items.size() > kNamesShown) out += ", ...";
  return out;
}

}  // namespace

const Kind kCluster{"cluster", "cls_", {"slug", "name"}};
const Kind kNode{"node", "nod_", {"name"}};
const Kind kNodeGroup{"node group", "grp_", {"name"}};
const Kind kOrganization{"organization", "org_", {"slug", "name"}};
const Kind kMembership{"membership", "mem_", {"login", "user_id"}};
const Kind kUser{"user", "usr_", {"login", "display_name"}};
const Kind kResource{"resource", "res_", {"name"}};
const Kind kSecret{"secret", "sec_", {"name"}};

std::string resolve(Api& api, const Kind& kind, const std::string& path, const std::string& text) {
  if (is_id_text(text, kind.prefix)) return text;
  return resolve_among(api.list(path), kind, text);
}

std::string resolve_among(const json::array& items, const Kind& kind, const std::string& text) {
  std::vector<std::string> ids;
  for (const std::string& key : kind.keys) {
    for (const auto& item : items) {
      const std::string id = text_at(item, "id");
      if (text_at(item, key) != text) continue;
      if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
    }
    // A slug is unique, so it goes before a name that happens to be the same.
    if (!ids.empty()) break;
  }
  if (ids.size() == 1) return ids.front();
  if (ids.empty()) {
    throw Failure(Exit::not_found, "no " + kind.name + " is called '" + text + "'",
                  items.empty() ? "there is none yet" : "there are: " + names_of(items, kind));
  }
  std::string all;
  for (const std::string& id : ids) all += " " + id;
  throw Failure(Exit::conflict,
                std::to_string(ids.size()) + " " + kind.name + "s are called '" + text + "'",
                "use the id:" + all);
}

std::string resolve_or_only(Api& api, const Kind& kind, const std::string& path,
                            const std::string& text, const std::string& option) {
  if (!text.empty()) return resolve(api, kind, path, text);
  const json::array items = api.list(path);
  if (items.size() == 1) return text_at(items.front(), "id");
  if (items.empty()) throw Failure(Exit::not_found, "there is no " + kind.name + " yet");
  throw Failure(Exit::usage, "there are several " + kind.name + "s",
                "say which with " + option + ": " + names_of(items, kind));
}

}  // namespace rap::cli
