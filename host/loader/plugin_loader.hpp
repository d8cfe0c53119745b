// Maps a sealed plugin into this process and reads its descriptors.
//
// Constructors of the library run inside, before anything can be checked: call it only in a process
// that is already restricted (host/worker/sandbox.hpp), and only for bytes whose hash was compared
// with a signed manifest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"
#include "host/loader/plugin_facts.hpp"
#include "rap/plugin.h"

namespace rap::loader {

struct LoadedPlugin {
  const rap_plugin* plugin = nullptr;  // lives as long as the process
  std::string path;                    // "/proc/<pid>/fd/<n>", for debuggers
  std::vector<AdapterFacts> adapters;  // copies
  std::uint16_t abi_minor = 0;
};

// Loads the memfd, which stays open for the life of the process: a descriptor number used again
// would make the dynamic loader answer with the library it already has. Needs /proc of this pid
// namespace.
//
// Fails with `mismatch` (seals missing; that file is loaded already), `invalid` (the dynamic loader
// refused it, no rap_plugin_v1, wrong magic, a size or list or pointer outside the library's own
// data, bad names), or `unsupported` (another major). The library stays mapped even then, so a
// process that failed should end.
Result<LoadedPlugin> load_plugin(Fd sealed);

// The checks that follow the mapping, for a plugin that is in this process already. `symbol` is the
// address of rap_plugin_v1; what it points to must lie in the library that contains it.
Result<std::vector<AdapterFacts>> read_descriptors(const void* symbol);

}  // namespace rap::loader
