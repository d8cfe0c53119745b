// What this host and this build can do: the technical upper bound, not a permission.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

namespace rap::agent {

struct Capability {
  std::string name;    // "can_run_ssh_worker"
  std::string detail;  // what it was concluded from
};

struct HostAbilities {
  std::vector<Capability> capabilities;
  // Layers a worker would get here: "userns", "netns", "landlock", "seccomp", ...
  std::vector<Capability> sandbox_layers;
};

struct ProbeInput {
  std::filesystem::path worker;
  std::filesystem::path listener;
  // Where the system's dynamic linker looks; a parameter for tests.
  std::vector<std::filesystem::path> library_directories;
};
std::vector<std::filesystem::path> system_library_directories();

// Probes now. Forks one short-lived child to try namespaces: call before threads are started.
HostAbilities probe_host(const ProbeInput& input);

}  // namespace rap::agent
