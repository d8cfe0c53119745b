// The plugin under test, and what was learned about it so far.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "host/loader/elf_check.hpp"
#include "host/loader/plugin_manifest.hpp"
#include "host/loader/sealed_memfd.hpp"
#include "host/plugin-check/boxed.hpp"

namespace rap::check {

struct Subject {
  std::string path;
  loader::SealedFile file;
  std::optional<loader::PluginManifest> manifest;
  std::string session_options = "{}";     // what sessions of level 3 are opened with
  std::chrono::milliseconds limit{5000};  // for each check; T3 allows no call longer
};

// What the plugin says about itself once it is mapped; read in the box.
struct Described {
  std::vector<loader::AdapterFacts> adapters;
  std::uint16_t abi_minor = 0;
  std::chrono::milliseconds scan{0};  // map and read
  int threads = 1;                    // right after that
};
// Fails with the reason of the loader, or with how the process ended.
Result<Described> describe(const Subject& subject);

}  // namespace rap::check
