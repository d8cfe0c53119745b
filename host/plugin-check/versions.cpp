#include "host/plugin-check/versions.hpp"

#include <algorithm>
#include <charconv>

namespace rap::check {
namespace {

constexpr std::pair<std::string_view, std::string_view> kBaseline[] = {
    {"GLIBC_", "2.36"}, {"GLIBCXX_", "3.4.30"}, {"CXXABI_", "1.3.13"}, {"GCC_", "12.0.0"}};
}  // namespace

bool version_at_most(std::string_view version, std::string_view most) {
  while (!version.empty() || !most.empty()) {
    const auto next = [](std::string_view& text) {
      const std::string_view part = text.substr(0, text.find('.'));
      text.remove_prefix(std::min(text.size(), part.size() + 1));
      unsigned value = 0;
      std::from_chars(part.data(), part.data() + part.size(), value);
      return value;
    };
    const unsigned left = next(version), right = next(most);
    if (left != right) return left < right;
  }
  return true;
}

std::vector<std::string> newer_than_baseline(const std::vector<loader::ElfVersion>& versions) {
  std::vector<std::string> late;
  for (const loader::ElfVersion& need : versions) {
    for (const auto& [prefix, most] : kBaseline) {
      if (!need.version.starts_with(prefix)) continue;
      const std::string_view version = std::string_view(need.version).substr(prefix.size());
      const bool number = !version.empty() && version[0] >= '0' && version[0] <= '9';
      if (number ? !version_at_most(version, most) : version == "PRIVATE") {
        late.push_back(need.version + " of " + need.library);
      }
    }
  }
  return late;
}

}  // namespace rap::check
