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

enum class Mode { session, workload };  // an adapter for sessions, or one that runs by itself

struct LoadRequest {
  Mode mode = Mode::session;
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
  std::string config_schema;        // the adapter's own; what its configuration was checked against
};

// Checks the seals, the bytes and what the manifest says about them, closes stage one, maps the
// library, compares its descriptors with the manifest and the configuration with its schema, and
// warms it up. Fails with `mismatch`, `forbidden` (it needs what was not granted), `invalid` (the
// configuration; the detail has pointer and reason), or what the loader says. After a failure the
// process must end: code of the plugin may be mapped.
// `kept`: what the box leaves open; its network must be the one that the adapter's profile asks
// for, no more and no less (`forbidden`).
Result<Loaded> load(const LoadRequest& request, Fd memfd, sandbox::Report& report,
                    const sandbox::Kept& kept);

// `options` of a session against the "session" part of an adapter's schema, which is its
// #/$defs/session; a schema without that part takes any object. Fails with `invalid`: pointer and
// reason.
Status check_session_options(const boost::json::value& options, std::string_view config_schema);

}  // namespace rap::worker
