// The empty root: libraries to read, /proc of this pid namespace, nothing else.
#pragma once

#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"
#include "host/worker/sandbox.hpp"

namespace rap::sandbox {

// What a library loader needs: directories (symbolic links stay links) and single files. Those that
// do not exist are left out.
std::vector<std::string> library_paths();

// What getaddrinfo() reads. Directories and not files: a rule of Landlock and a bind mount are of
// an inode, and these files are replaced by new ones.
std::vector<std::string> resolver_paths();

// A copy of the mount at the working directory, attached nowhere yet. Before this process becomes
// nobody, who may not pass the directories above it.
Result<Fd> detach_working_directory();

// In a mount namespace of its own, with the right to mount: builds the new root in memory, makes it
// the root and read-only, and lets go of the old one. `state`, if there is one, becomes kStatePath:
// writable, without devices, set-uid or execution. With a network also what resolvers read.
Status build_root(const Fd& state, Network network);
inline constexpr const char* kStatePath = "/state";

}  // namespace rap::sandbox
