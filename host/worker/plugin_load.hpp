// From a sealed descriptor and a signed manifest to a plugin in this process.
#pragma once

#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/file.hpp"
#include "base/result.hpp"
#include "host/loader/plugin_facts.hpp"
#include "host/worker/sandbox.hpp"
#include "rap/plugin.h"

namespace rap::worker {

enum class Mode { session, workload };  // an adapter for sessions, or one that runs by itself

// One adapter of a library, as `load` and `adapter.add` ask for it.
struct AdapterRequest {
  std::string adapter;
  std::vector<std::string> grants;
  std::string config;
};
// `invalid` names what is missing or wrong.
Result<AdapterRequest> parse_adapter(const boost::json::object& body);

struct LoadRequest : AdapterRequest {
  Mode mode = Mode::session;
  std::string sha256;  // hex
  std::int64_t length = 0;
  std::string manifest;  // the release manifest, as signed
  std::string organization;
};
// The members of the `load` message. `invalid` names what is missing or wrong.
Result<LoadRequest> parse_load(const boost::json::object& body);

// An adapter that may be created.
struct Admitted {
  std::vector<std::string> grants;  // what the adapter may have: granted and asked for
  std::string config_schema;        // the adapter's own; what its configuration was checked against
};

struct Loaded {
  const rap_plugin* plugin = nullptr;
  bool fork_safe = false;
  Admitted first;                              // the one that `load` named
  std::vector<loader::AdapterFacts> adapters;  // all, as the library describes them
  sandbox::Kept kept;
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

// Another adapter of a library that is mapped. Fails as load() does; nothing has changed then.
Result<Admitted> admit(const Loaded& library, const AdapterRequest& request);

// `options` of a session against the "session" part of an adapter's schema, which is its
// #/$defs/session; a schema without that part takes any object. Fails with `invalid`: pointer and
// reason.
Status check_session_options(const boost::json::value& options, std::string_view config_schema);

}  // namespace rap::worker
