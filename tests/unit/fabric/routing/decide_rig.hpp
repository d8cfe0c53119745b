// A mesh, what is measured of it, and one question.
#pragma once

#include <array>

#include "fabric/routing/engine.hpp"
#include "tests/support/mesh_rig.hpp"

namespace rap::test {

struct DecideRig {
  explicit DecideRig(routing::DirectoryDoc doc) : directory(compiled(std::move(doc))) {
    request.cluster_id = directory.cluster_id();
    request.origin = directory.self();
  }

  routing::NodeIndex n(unsigned number) const { return directory.find(node_id(number)); }
  void up(unsigned number, float rtt_ms, std::int64_t ms = 0) {
    measurements.link_up(n(number), routing::MonoTime{ms});
    measurements.ping(n(number), rtt_ms, routing::MonoTime{ms}, directory.policy().decay);
  }
  void told(unsigned a, unsigned b, float rtt_ms, std::int64_t ms = 0) {
    routing::Report report;
    report.rtt_ms = rtt_ms;
    report.state = routing::LinkState::up;
    (void)measurements.told(n(a), n(b), report, routing::MonoTime{ms}, routing::MonoTime{ms},
                            directory.policy().decay);
  }
  void told_down(unsigned a, unsigned b, std::int64_t ms = 0) {
    routing::Report report;
    report.state = routing::LinkState::down;
    (void)measurements.told(n(a), n(b), report, routing::MonoTime{ms}, routing::MonoTime{ms},
                            directory.policy().decay);
  }
  routing::Path path(const std::vector<unsigned>& numbers) const {
    routing::Path route;
    for (const unsigned number : numbers) route.push(n(number));
    return route;
  }

  // "1-2-5": the path to use first; "" when there is none.
  std::string decide(routing::TargetKind kind, std::string target, std::int64_t ms = 0) {
    target_ = std::move(target);
    request.kind = kind;
    request.target = target_;
    decision = routing::decide(directory, measurements, request, at(ms), out);
    return decision.count == 0 ? "" : text(out[0].path);
  }
  std::string to(unsigned number, std::int64_t ms = 0) {
    return decide(routing::TargetKind::node, node_id(number), ms);
  }
  std::vector<std::string> all() const {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < decision.count; ++i) texts.push_back(text(out[i].path));
    return texts;
  }
  std::string text(const routing::Path& path) const {
    std::string out_text;
    for (const routing::NodeIndex node : path.view()) {
      if (!out_text.empty()) out_text += "-";
      out_text += std::to_string(std::stoi(std::string(directory.id(node).substr(4))));
    }
    return out_text;
  }

  routing::Directory directory;
  routing::Measurements measurements;
  routing::Request request;
  std::array<routing::Candidate, 8> out{};
  routing::Decision decision;

 private:
  std::string target_;
};

}  // namespace rap::test
