#include "fabric/ends/path_picker.hpp"

#include <algorithm>

namespace rap::fabric {

namespace {

// As many candidates as are ever used: one, the next decision sees what failed.
constexpr std::size_t kCandidates = 2;

Error error_of(routing::Rule rule) {
  switch (rule) {
    case routing::Rule::unknown_target:
    case routing::Rule::empty_target:
      return {Errc::not_found, "there is no such service"};
    case routing::Rule::organization:
      return {Errc::forbidden, "the service is not for this organization"};
    default:
      return {Errc::unavailable, "there is no way to the service now"};
  }
}

}  // namespace

routing::RouteKey route_key(const WantedPath& wanted) {
  routing::RouteKey key;
  key.kind = wanted.target.kind == MeshTarget::Kind::node ? routing::TargetKind::node
                                                          : routing::TargetKind::service;
  key.channel_class = wanted.channel_class;
  key.target = wanted.target.id;
  key.organization = wanted.organization;
  return key;
}

routing::Path path_over(const routing::Directory& directory,
                        const std::vector<std::string>& nodes) {
  routing::Path out;
  out.push(directory.self());
  for (const std::string& id : nodes) {
    const routing::NodeIndex node = directory.find(id);
    if (node == routing::kNoNode) return {};
    out.push(node);
  }
  return out;
}

PathPicker::PathPicker(WantedPath wanted, routing::MonoTime begun, PickerLimits limits)
    : wanted_(std::move(wanted)), begun_(begun), limits_(limits) {}

net::milliseconds PathPicker::patience(routing::Moment now) const {
  const auto left = begun_ + limits_.all - now.mono;
  return std::clamp<net::milliseconds>(left, net::milliseconds(0), limits_.one);
}

Result<std::vector<std::string>> PathPicker::next(const RouteView& view, routing::Moment now,
                                                  const routing::RouteCache* cache) {
  if (patience(now) == net::milliseconds(0)) {
    return fail(Errc::timeout, "no way to the service was found in time");
  }
  if (tries_ == limits_.tries_max) {
    return fail(Errc::unavailable, "the ways to the service do not answer now");
  }
  const routing::Directory& directory = *view.directory;
  std::vector<routing::NodeIndex> excluded;
  for (const std::string& id : excluded_) {
    const routing::NodeIndex node = directory.find(id);
    if (node != routing::kNoNode) excluded.push_back(node);
  }
  const routing::RouteKey key = route_key(wanted_);
  routing::Request request;
  request.cluster_id = directory.cluster_id();
  request.origin = directory.self();
  request.kind = key.kind;
  request.target = key.target;
  request.organization = key.organization;
  request.channel_class = key.channel_class;
  // See hop_check.cpp: whether it is new is known inside only.
  request.purpose = routing::Purpose::existing_stream;
  request.excluded_nodes = excluded;
  if (cache != nullptr) request.current = cache->find(key, directory, now.wall);

  std::array<routing::Candidate, kCandidates> candidates;
  const routing::Decision decision =
      routing::decide(directory, *view.measurements, request, now, candidates);
  if (decision.count == 0) {
    // What is there, only not now: what was tried and failed is not "not allowed".
    const Error error = tries_ > 0 ? Error{Errc::unavailable,
                                           "the ways to the service do not "
                                           "answer now"}
                                   : error_of(decision.reason);
    return fail(error);
  }
  ++tries_;
  current_.clear();
  const routing::Path& path = candidates[0].path;
  for (std::size_t i = 1; i < path.count; ++i) current_.emplace_back(directory.id(path.nodes[i]));
  return current_;
}

void PathPicker::failed(std::string_view blamed) {
  if (current_.empty()) return;
  const bool on_the_way = std::find(current_.begin(), current_.end(), blamed) != current_.end();
  excluded_.push_back(on_the_way ? std::string(blamed) : current_.front());
}

}  // namespace rap::fabric
