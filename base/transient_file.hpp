// Files about things that end with the machine.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.hpp"

namespace rap {

// Like write_file_atomic (file.hpp): readers see the old or the new content, also when this process
// is killed in between. But it waits for no disk: a power cut may leave the file empty or gone. For
// what means nothing after a restart of the machine, as a note about running processes.
Status write_transient_file(const std::filesystem::path& path, std::string_view text,
                            unsigned mode = 0644);

}  // namespace rap
