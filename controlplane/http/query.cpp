#include "controlplane/http/query.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <string>

#include <boost/json.hpp>

namespace rap::cp {
namespace {

// What is shown of somebody's text in an answer.
constexpr std::size_t kShownMax = 40;

std::string shown(std::string_view text) {
  std::string out(text.substr(0, kShownMax));
  std::ranges::replace_if(
      out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

Error unknown(std::string_view name, const std::vector<QueryParameter>& known) {
  std::vector<std::string_view> names;
  for (const QueryParameter& parameter : known) names.push_back(parameter.name);
  const std::string allowed = names.empty()
                                  ? "there are none here"
                                  : fmt::format("there are {} here", fmt::join(names, ", "));
  return {Errc::invalid, fmt::format("no such query parameter: {}; {}", shown(name), allowed)};
}

Status check_words(const QueryParameter& parameter, std::string_view value) {
  if (parameter.words.empty()) return {};
  const auto allowed = words_of(parameter.words);
  const bool several = parameter.many == QueryParameter::Many::several;
  for (std::string_view rest = value;;) {
    const auto comma = several ? rest.find(',') : std::string_view::npos;
    const std::string_view word = rest.substr(0, comma);
    if (std::ranges::find(allowed, word) == allowed.end()) {
      return fail(Errc::invalid, fmt::format("{}: '{}' is none of {}", parameter.name, shown(word),
                                             fmt::join(allowed, ", ")));
    }
    if (comma == std::string_view::npos) return {};
    rest = rest.substr(comma + 1);
  }
}

}  // namespace

std::vector<std::string_view> words_of(std::string_view words) {
  std::vector<std::string_view> out;
  while (!words.empty()) {
    const auto bar = words.find('|');
    out.push_back(words.substr(0, bar));
    words = bar == std::string_view::npos ? std::string_view() : words.substr(bar + 1);
  }
  return out;
}

Status check_query(const net::HttpRequest& request, const std::vector<QueryParameter>& known) {
  std::set<std::string_view> seen;
  for (std::string_view rest = request.query(); !rest.empty();) {
    const auto end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (pair.empty()) continue;
    const std::string_view name = pair.substr(0, pair.find('='));
    const auto parameter = std::ranges::find(known, name, &QueryParameter::name);
    if (parameter == known.end()) return fail(unknown(name, known));
    if (!seen.insert(name).second) {
      return fail(Errc::invalid, fmt::format("{}: comes twice", parameter->name));
    }
    const auto value = request.query_parameter(name);
    if (!value) return fail(Errc::invalid, fmt::format("{}: a broken %XX", parameter->name));
    // Nothing after the '=': as if it were not there.
    if (value->empty()) continue;
    if (value->find('\0') != std::string::npos) {
      return fail(Errc::invalid, fmt::format("{}: has a NUL character", parameter->name));
    }
    if (auto good = check_words(*parameter, *value); !good) return good;
  }
  return {};
}

boost::json::object query_schema(const QueryParameter& parameter) {
  boost::json::object out;
  out["type"] = "string";
  if (parameter.words.empty()) return out;
  const auto words = words_of(parameter.words);
  if (parameter.many == QueryParameter::Many::one) {
    boost::json::array all;
    for (const auto word : words) all.emplace_back(word);
    out["enum"] = std::move(all);
    return out;
  }
  const std::string any = fmt::format("({})", fmt::join(words, "|"));
  out["pattern"] = fmt::format("^{}(,{})*$", any, any);
  return out;
}

}  // namespace rap::cp
