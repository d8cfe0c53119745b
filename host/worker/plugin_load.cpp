#include "host/worker/plugin_load.hpp"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/schema/json_schema.hpp"
#include "host/loader/plugin_loader.hpp"
#include "host/loader/plugin_manifest.hpp"
#include "host/loader/sealed_memfd.hpp"
#include "rap/ext/host.h"

namespace rap::worker {
namespace {

namespace json = boost::json;

constexpr std::size_t kGrantsMax = 32;

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

Result<std::vector<std::string>> texts(const json::array& array, std::size_t most) {
  if (array.size() > most) return fail(Errc::too_large, "grants");
  std::vector<std::string> out;
  for (const json::value& value : array) {
    if (!value.is_string()) return fail(Errc::invalid, "grants: texts only");
    out.emplace_back(std::string_view(value.get_string()));
  }
  return out;
}

Result<loader::AdapterFacts> adapter_of(const std::vector<loader::AdapterFacts>& adapters,
                                        const std::string& id) {
  for (const loader::AdapterFacts& facts : adapters) {
    if (facts.id == id) return facts;
  }
  return fail(Errc::not_found, "the plugin has no adapter " + id);
}

Result<std::vector<std::string>> grants_for(const loader::AdapterFacts& adapter,
                                            std::vector<std::string> granted,
                                            const sandbox::Kept& kept) {
  // A need for it is then a need that was not granted.
  if (kept.state_directory < 0) std::erase(granted, RAP_HOST_STATE_DIR);
  std::vector<std::string> out;
  for (const std::string& need : adapter.needs) {
    if (!contains(granted, need)) {
      return fail(Errc::forbidden, adapter.id + " needs " + need + ", which was not granted");
    }
    out.push_back(need);
  }
  for (const std::string& want : adapter.wants) {
    if (contains(granted, want)) out.push_back(want);
  }
  return out;
}

// The agent decided before the manifest came; the two must have meant the same.
Status check_profile(const loader::AdapterFacts& adapter, sandbox::Network network) {
  const char* const given = network == sandbox::Network::client ? "net.client" : "net.none";
  if (adapter.profile == given) return {};
  return fail(Errc::forbidden,
              adapter.id + " asks for " + adapter.profile + ", and this process is " + given);
}

// The schema stands in the library, so nobody can check before it is mapped; no code of the plugin
// but its constructors has run then.
Status check_config(const AdapterRequest& request, const std::string& schema) {
  auto config = parse_json(request.config);
  if (!config) return fail(config.error(), "config");
  auto wrong = check_against_schema(*config, schema);
  if (!wrong) return fail(wrong.error(), "config of " + request.adapter);
  if (!wrong->empty()) return fail(Errc::invalid, "config: " + *wrong);
  return {};
}

// What is decided before the library is mapped.
Result<std::vector<std::string>> check_facts(const loader::AdapterFacts& adapter,
                                             const AdapterRequest& request,
                                             const sandbox::Kept& kept) {
  auto grants = grants_for(adapter, request.grants, kept);
  if (!grants) return fail(grants.error());
  if (auto fits = check_profile(adapter, kept.network); !fits) return fail(fits.error());
  return grants;
}

}  // namespace

Result<AdapterRequest> parse_adapter(const json::object& body) {
  auto adapter = json_string(body, "adapter");
  auto grants = json_array(body, "grants");
  if (!adapter) return fail(adapter.error());
  if (!grants) return fail(grants.error());
  auto list = texts(**grants, kGrantsMax);
  if (!list) return fail(list.error());
  const json::value* config = body.if_contains("config");
  return AdapterRequest{*adapter, *std::move(list),
                        config != nullptr && config->is_object() ? json::serialize(*config) : "{}"};
}

Result<LoadRequest> parse_load(const json::object& body) {
  auto adapter = parse_adapter(body);
  auto sha256 = json_string(body, "sha256");
  auto length = json_int(body, "length");
  auto manifest = json_object(body, "manifest");
  auto organization = json_string(body, "organization");
  if (!adapter) return fail(adapter.error());
  if (!sha256) return fail(sha256.error());
  if (!length) return fail(length.error());
  if (!manifest) return fail(manifest.error());
  if (!organization) return fail(organization.error());
  const std::string mode = json_string_or_none(body, "mode").value_or("session");
  if (mode != "session" && mode != "workload") return fail(Errc::unsupported, "mode " + mode);
  LoadRequest out;
  static_cast<AdapterRequest&>(out) = *std::move(adapter);
  out.mode = mode == "session" ? Mode::session : Mode::workload;
  out.sha256 = *sha256;
  out.length = *length;
  out.manifest = json::serialize(**manifest);
  out.organization = *organization;
  return out;
}

Result<Loaded> load(const LoadRequest& request, Fd memfd, sandbox::Report& report,
                    const sandbox::Kept& kept) {
  auto manifest = loader::parse_plugin_manifest(request.manifest);
  if (!manifest) return fail(manifest.error(), "manifest");
  auto sealed = loader::adopt_sealed(std::move(memfd));
  if (!sealed) return fail(sealed.error());
  if (static_cast<std::int64_t>(sealed->size) != request.length ||
      to_hex(sealed->sha256) != request.sha256) {
    return fail(Errc::mismatch, "the descriptor does not hold the bytes the agent named");
  }
  if (auto same = loader::match_file(*manifest, sealed->size, sealed->sha256); !same) {
    return fail(same.error());
  }
  auto adapter = adapter_of(manifest->adapters, request.adapter);
  if (!adapter) return fail(adapter.error());
  auto grants = check_facts(*adapter, request, kept);
  if (!grants) return fail(grants.error());
  if (request.mode == Mode::session && kept.network != sandbox::Network::none) {
    return fail(Errc::forbidden, "net.client is for workloads");
  }

  if (auto closed = sandbox::stage_one(report, kept); !closed) return fail(closed.error());
  auto library = loader::load_plugin(std::move(sealed->fd));
  if (!library) return fail(library.error());
  if (auto same = loader::match_adapters(*manifest, library->adapters); !same) {
    return fail(same.error());
  }
  // The library's own words from here on: the manifest says the same.
  auto described = adapter_of(library->adapters, request.adapter);
  if (!described) return fail(described.error());
  if (auto good = check_config(request, described->config_schema); !good) {
    return fail(good.error());
  }
  if (library->plugin->warm_up != nullptr) {
    const rap_result warm = library->plugin->warm_up();
    if (warm != RAP_OK) return fail(Errc::unavailable, "warm_up: " + std::to_string(warm));
  }
  return Loaded{library->plugin,
                adapter->fork_safe,
                {*std::move(grants), described->config_schema},
                std::move(library->adapters),
                kept};
}

Result<Admitted> admit(const Loaded& library, const AdapterRequest& request) {
  auto adapter = adapter_of(library.adapters, request.adapter);
  if (!adapter) return fail(adapter.error());
  auto grants = check_facts(*adapter, request, library.kept);
  if (!grants) return fail(grants.error());
  if (auto good = check_config(request, adapter->config_schema); !good) return fail(good.error());
  return Admitted{*std::move(grants), adapter->config_schema};
}

Status check_session_options(const json::value& options, std::string_view config_schema) {
  auto schema = parse_json(config_schema, {.bytes_max = loader::kConfigSchemaMax, .depth_max = 64});
  if (!schema || !schema->is_object()) return fail(Errc::invalid, "options: no schema");
  const json::value* definitions = schema->get_object().if_contains("$defs");
  if (definitions == nullptr || !definitions->is_object() ||
      !definitions->get_object().contains("session")) {
    return {};
  }
  // References inside go on meaning the whole schema's definitions.
  const json::value part = {{"$defs", *definitions}, {"$ref", "#/$defs/session"}};
  auto problems = check_against_schema(options, part);
  if (!problems) return fail(problems.error(), "options");
  if (problems->empty()) return {};
  return fail(Errc::invalid, "options: " + text_of(*problems));
}

}  // namespace rap::worker
