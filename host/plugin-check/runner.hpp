// Runs the levels in order and collects their lines.
#pragma once

#include <vector>

#include "host/plugin-check/outcome.hpp"
#include "host/plugin-check/subject.hpp"

namespace rap::check {

struct RunOptions {
  int level = 2;                  // 1 to 3: this one and those below
  std::vector<std::string> only;  // rules ("T4") or beginnings of names ("thr"); empty: all
};

// Stops after level 1 when the plugin cannot be mapped: what would follow has no meaning. Fails
// with `invalid` when a word of `only` is no check of this plugin, naming those there are, or one
// of a higher level; nothing was run then.
Result<std::vector<Line>> run_checks(const Subject& subject, const RunOptions& options);

}  // namespace rap::check
