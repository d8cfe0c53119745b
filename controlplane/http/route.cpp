#include "controlplane/http/route.hpp"

#include <algorithm>
#include <set>

namespace rap::cp {
namespace {

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    if (path.front() != '/') return {};
    path.remove_prefix(1);
    const auto slash = path.find('/');
    parts.emplace_back(path.substr(0, slash));
    path = slash == std::string_view::npos ? "" : path.substr(slash);
  }
  return parts;
}

bool is_variable(std::string_view part) {
  return part.starts_with('{') && part.ends_with('}');
}
bool takes_rest(std::string_view part) {
  return is_variable(part) && part.ends_with("...}");
}
std::string variable_name(std::string_view part) {
  part = part.substr(1, part.size() - 2);
  if (part.ends_with("...")) part.remove_suffix(3);
  return std::string(part);
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& parts,
             std::map<std::string, std::string, std::less<>>& values) {
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (i >= parts.size()) return false;
    if (takes_rest(pattern[i])) {
      std::string rest = parts[i];
      for (std::size_t j = i + 1; j < parts.size(); ++j) rest += "/" + parts[j];
      values[variable_name(pattern[i])] = std::move(rest);
      return true;
    }
    if (is_variable(pattern[i])) {
      if (parts[i].empty()) return false;
      values[variable_name(pattern[i])] = parts[i];
    } else if (pattern[i] != parts[i]) {
      return false;
    }
  }
  return pattern.size() == parts.size();
}

}  // namespace

std::vector<Answer> all_answers(const Route& route) {
  // Any route: what is asked may be wrong, the database away, the program.
  std::set<unsigned> all{400, 500, 503};
  if (route.who != Who::anyone) all.insert(401);
  if (route.who == Who::owner || route.who == Who::node) all.insert(403);
  if (route.method != "GET" && route.method != "DELETE") all.insert({413, 415});
  if (route.creates) all.insert(422);
  for (const Answer& own : route.answers) all.erase(own.status);
  std::vector<Answer> out = route.answers;
  out.insert(out.end(), all.begin(), all.end());
  std::ranges::sort(out, {}, &Answer::status);
  return out;
}

RouteTable::RouteTable(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (const Route& route : routes_) patterns_.push_back(split(route.pattern));
}

RouteTable::Match RouteTable::find(std::string_view method, std::string_view path) const {
  Match match;
  std::vector<std::string> parts = split(path);
  for (std::string& part : parts) {
    auto decoded = net::percent_decode(part);
    if (!decoded) return match;
    part = std::move(*decoded);
  }
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    std::map<std::string, std::string, std::less<>> values;
    if (!matches(patterns_[i], parts, values)) continue;
    match.path_known = true;
    if (routes_[i].method != method) continue;
    match.route = &routes_[i];
    match.values = std::move(values);
    return match;
  }
  return match;
}

}  // namespace rap::cp
