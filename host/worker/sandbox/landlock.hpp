// Landlock by system call: the C library has no wrapper, and the distribution's header knows only
// the oldest rights.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace rap::sandbox {

// 0: this kernel has no Landlock.
int landlock_abi();

enum class LandlockTcp { denied, connect, allowed };

struct LandlockRules {
  std::vector<std::string> readable = {};  // read, list, map executable; missing ones are skipped
  int writable_directory = -1;             // everything below it, or -1
  LandlockTcp tcp = LandlockTcp::denied;
};

// Denies every file-system right the kernel knows outside `rules`, TCP as far as not allowed (ABI
// 4), and signals and abstract sockets across the boundary (ABI 6). Returns the ABI used. Needs
// no_new_privs. `unsupported` where the kernel has none.
Result<int> landlock_restrict(const LandlockRules& rules);

}  // namespace rap::sandbox
