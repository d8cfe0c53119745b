// Files of Version Storage, served as they are.
#pragma once

#include <filesystem>
#include <string_view>

#include "controlplane/http/call.hpp"

namespace rap::cp {

// The regular file `path` below `folder`, or 404. A path that would leave the folder, or crosses a
// symbolic link, is as good as one that does not exist.
Reply stored_file(const std::filesystem::path& folder, std::string_view path);

}  // namespace rap::cp
