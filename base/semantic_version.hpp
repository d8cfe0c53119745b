// Versions of releases: semver.org 2.0.0.
#pragma once

#include <string_view>

namespace rap {

// "1.4.0", "1.4.0-rc.1", "1.4.0+build.7"; not "1.4", "01.4.0", "v1.4.0".
bool is_semantic_version(std::string_view text);

}  // namespace rap
