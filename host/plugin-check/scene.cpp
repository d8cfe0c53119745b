#include "host/plugin-check/scene.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace rap::check {

std::set<std::string> Scene::grants(const std::set<std::string>& withheld) const {
  std::set<std::string> out;
  for (const auto* list : {&facts.needs, &facts.wants}) {
    for (const std::string& id : *list) {
      if (!withheld.count(id) && std::ranges::count(TestHost::known_ids(), id)) out.insert(id);
    }
  }
  return out;
}

Running::Running(const Scene& scene, TestHost& host) {
  rap_adapter* made = nullptr;
  created_ = scene.plugin->create(host.abi(), scene.facts.id.c_str(), &made);
  if (created_ == RAP_OK) adapter_ = made;
}

Running::~Running() {
  if (adapter_) adapter_->stop(adapter_);
  destroy();
}

rap_result Running::start() {
  return adapter_->start(adapter_);
}

rap_result Running::stop() {
  return adapter_->stop(adapter_);
}

void Running::destroy() {
  if (adapter_) adapter_->destroy(adapter_);
  adapter_ = nullptr;
}

std::string result_name(rap_result result) {
  constexpr std::array<std::string_view, 17> names{
      "RAP_E_INTERNAL", "RAP_E_CANCELED",    "RAP_E_RESOURCE",    "RAP_E_PROTOCOL", "RAP_E_GONE",
      "RAP_E_BUSY",     "RAP_E_TIMEOUT",     "RAP_E_UNREACHABLE", "RAP_E_AUTH",     "RAP_E_DENIED",
      "RAP_E_CONFIG",   "RAP_E_UNSUPPORTED", "RAP_E_STATE",       "RAP_E_INVALID",  "RAP_OK",
      "RAP_PENDING",    "RAP_PARTIAL"};
  const std::int64_t place = std::int64_t{result} - RAP_E_INTERNAL;
  if (place < 0 || place >= static_cast<std::int64_t>(names.size())) {
    return fmt::format("{}, which is no result", result);
  }
  return std::string(names[static_cast<std::size_t>(place)]);
}

Outcome judged(TestHost& host, Outcome otherwise) {
  const auto complaints = host.complaints();
  if (complaints.empty() || otherwise.verdict == Verdict::fail) return otherwise;
  return broken(fmt::format("{}", fmt::join(complaints, "; ")));
}

}  // namespace rap::check
