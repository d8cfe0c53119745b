#include "controlplane/enrollment/capabilities.hpp"

#include <algorithm>

#include <boost/json.hpp>

namespace rap::cp {
namespace {

constexpr std::size_t kCapabilitiesMax = 64;
constexpr std::size_t kDetailMax = 2048;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string detail_text(const boost::json::value* detail) {
  if (detail == nullptr || detail->is_null()) return "{}";
  if (detail->is_object()) return boost::json::serialize(*detail);
  boost::json::object wrapped;
  wrapped["text"] =
      detail->is_string() ? *detail : boost::json::value(boost::json::serialize(*detail));
  return boost::json::serialize(wrapped);
}

}  // namespace

Result<std::vector<Capability>> parse_capabilities(const boost::json::array& items) {
  if (items.size() > kCapabilitiesMax) return fail(Errc::invalid, "capabilities: at most 64");
  std::vector<Capability> out;
  for (const auto& item : items) {
    Capability capability;
    if (item.is_string()) {
      capability = {std::string(item.get_string()), "{}"};
    } else if (item.is_object() && item.get_object().if_contains("name") != nullptr &&
               item.get_object().at("name").is_string()) {
      capability.name = std::string(item.get_object().at("name").get_string());
      capability.detail = detail_text(item.get_object().if_contains("detail"));
    } else {
      return fail(Errc::invalid, "capabilities: a name, or an object with a name");
    }
    if (!is_name(capability.name)) {
      return fail(Errc::invalid, "capabilities: a name is 1 to 64 of a-z, 0-9 and _");
    }
    if (capability.detail.size() > kDetailMax) {
      return fail(Errc::invalid, "capabilities: a detail has at most 2 KiB");
    }
    if (std::ranges::none_of(out, [&](const auto& c) { return c.name == capability.name; })) {
      out.push_back(std::move(capability));
    }
  }
  return out;
}

}  // namespace rap::cp
