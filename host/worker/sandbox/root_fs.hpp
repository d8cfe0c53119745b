// The empty root: libraries to read, /proc of this pid namespace, nothing else.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace rap::sandbox {

// What a library loader needs: directories (symbolic links stay links) and single files. Those that
// do not exist are left out.
std::vector<std::string> library_paths();

// In a mount namespace of its own, with the right to mount: builds the new root in memory, makes it
// the root and read-only, and lets go of the old one.
Status build_root();

}  // namespace rap::sandbox
