// Levels 2 and 3: what the adapter does when it is called. Each check has a box of its own.
#pragma once

#include <string>
#include <vector>

#include "host/plugin-check/scene.hpp"

namespace rap::check {

// A check of one adapter. `argument` is the extension id for the checks that come once for each.
struct BoxedCheck {
  int level;
  const char* rule;
  std::string name;
  Outcome (*run)(const Scene& scene, const std::string& argument);
  std::string argument = {};
};

// Level 2.
std::vector<BoxedCheck> load_checks(const loader::AdapterFacts& adapter);
// Level 3, for adapters that provide rap.adapter.session/1.
std::vector<BoxedCheck> session_checks();
// Level 3, for adapters that provide rap.adapter.accept/1.
std::vector<BoxedCheck> accept_checks();

}  // namespace rap::check
