// What is counted of the mesh, for the host's metrics.
#pragma once

#include <rap/rap.hpp>

#include "plugins/mesh/board.hpp"

namespace rap::mesh {

// Loop thread. Nothing happens where the host has no metrics.
class Metrics {
 public:
  explicit Metrics(Host host);
  void record(const Picture& now);

 private:
  struct Line {
    const char* name;
    const char* unit;
    const char* help;
    std::uint32_t kind;
    double (*value)(const Picture&);
  };
  static const Line kLines[];
  static constexpr std::size_t kLineCount = 11;

  const Host host_;
  const rap_host_metrics_1* table_;
  std::uint32_t ids_[kLineCount] = {};
  double told_[kLineCount] = {};  // of counters
};

}  // namespace rap::mesh
