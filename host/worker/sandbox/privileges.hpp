// What a process gives up about itself.
#pragma once

#include <vector>

#include "host/worker/sandbox.hpp"

namespace rap::sandbox {

// Never optional: without it neither Landlock nor seccomp may be set.
Status set_no_new_privs(Report& report);
// Bounding set, ambient set, then all of them.
void drop_capabilities(Report& report);
void set_resource_limits(Report& report, const Options& options);
void set_not_dumpable(Report& report, bool debuggable);
void close_other_descriptors(Report& report, std::vector<int> keep);
void clear_environment(Report& report);

}  // namespace rap::sandbox
