// From a sealed descriptor and a signed manifest to a plugin in this process.
#pragma once

#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/file.hpp"
#include "base/result.hpp"
#include "host/worker/sandbox.hpp"
#include "rap/plugin.h"

namespace rap::worker {

struct LoadRequest {
  std::string sha256;  // hex
  std::int64_t length = 0;
  std::string adapter;
  std::string manifest;  // the release manifest, as signed
  std::vector<std::string> grants;
  std::string organization;
  std::string config;
};
// The members of the `load` message. `invalid` names what is missing or wrong.
Result<LoadRequest> parse_load(const boost::json::object& body);

struct Loaded {
  const rap_plugin* plugin = nullptr;
  bool fork_safe = false;
  std::vector<std::string> grants;  // what the adapter may have: granted and asked for
};

// Checks the seals, the bytes and what the manifest says about them, closes stage one, maps the
// library, compares its descriptors with the manifest, and warms it up. Fails with `mismatch`,
// `forbidden` (it needs what was not granted), or what the loader says. After a failure the process
// must end: code of the plugin may be mapped.
Result<Loaded> load(const LoadRequest& request, Fd memfd, sandbox::Report& report);

}  // namespace rap::worker
