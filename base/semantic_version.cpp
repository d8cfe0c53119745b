#include "base/semantic_version.hpp"

#include <algorithm>

namespace rap {
namespace {

bool is_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_number(std::string_view text) {
  return is_digits(text) && (text.size() == 1 || text[0] != '0');
}

bool is_identifier(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
}

// How many parts between dots, when `good` is true of each; else 0.
template <typename Good>
int parts(std::string_view text, Good good) {
  int count = 0;
  while (true) {
    const std::size_t dot = text.find('.');
    if (!good(text.substr(0, dot))) return 0;
    ++count;
    if (dot == std::string_view::npos) return count;
    text.remove_prefix(dot + 1);
  }
}

}  // namespace

bool is_semantic_version(std::string_view text) {
  if (const std::size_t plus = text.find('+'); plus != std::string_view::npos) {
    if (parts(text.substr(plus + 1), is_identifier) == 0) return false;
    text = text.substr(0, plus);
  }
  if (const std::size_t dash = text.find('-'); dash != std::string_view::npos) {
    const auto good = [](std::string_view part) {
      return is_identifier(part) && (!is_digits(part) || is_number(part));
    };
    if (parts(text.substr(dash + 1), good) == 0) return false;
    text = text.substr(0, dash);
  }
  return parts(text, is_number) == 3;
}

}  // namespace rap
