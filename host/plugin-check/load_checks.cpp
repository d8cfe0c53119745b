#include "host/plugin-check/load_checks.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace rap::check {
namespace {

using namespace std::chrono_literals;

// Calls create() with an id that is nobody's.
Outcome refuses_id(const Scene& scene, const std::string& id) {
  TestHost host(scene.grants());
  rap_adapter marker{};
  rap_adapter* out = &marker;
  const rap_result result = scene.plugin->create(host.abi(), id.c_str(), &out);
  if (result >= 0)
    return broken(fmt::format("create(\"{}\") answered {}", id, result_name(result)));
  if (out != &marker) return broken("E2 create() failed and wrote its out parameter all the same");
  return judged(host, pass(result_name(result)));
}

Outcome unknown_id(const Scene& scene, const std::string&) {
  return refuses_id(scene, "org.example.no-such-adapter");
}

Outcome similar_id(const Scene& scene, const std::string&) {
  const std::string& id = scene.facts.id;
  std::string upper = id;
  std::ranges::transform(upper, upper.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  for (const std::string& other :
       {id + "x", id + " ", id.substr(0, id.size() - 1), upper, std::string()}) {
    if (other == id) continue;
    const Outcome outcome = refuses_id(scene, other);
    if (outcome.verdict == Verdict::fail) return outcome;
  }
  return pass();
}

// What a start without configuration may answer.
bool wants_configuration(rap_result result) {
  return result == RAP_E_CONFIG;
}

std::string said(const TestHost& host, const char* call, rap_result result) {
  return fmt::format("{}() answered {}{}{}", call, result_name(result),
                     host.failure().empty() ? "" : ": ", host.failure());
}

Outcome life(const Scene& scene, const std::string&) {
  TestHost host(scene.grants());
  Running adapter(scene, host);
  if (adapter.created() != RAP_OK) return broken(said(host, "create", adapter.created()));
  const rap_result started = adapter.start();
  if (wants_configuration(started)) return judged(host, pass("needs a configuration to start"));
  if (started != RAP_OK) return broken(said(host, "start", started));
  host.pump(50ms, [] { return false; });
  rap_adapter* a = adapter.get();
  if (const rap_result r = a->drain(a, 100); r < 0) return broken(said(host, "drain", r));
  if (const rap_result r = adapter.stop(); r < 0) return broken(said(host, "stop", r));
  if (const rap_result r = adapter.stop(); r < 0)
    return broken("P6 second " + said(host, "stop", r));
  adapter.destroy();
  return judged(host, pass());
}

Outcome early_end(const Scene& scene, const std::string&) {
  TestHost host(scene.grants());
  {
    Running unused(scene, host);
    if (unused.created() != RAP_OK) return broken(said(host, "create", unused.created()));
    unused.destroy();
  }
  Running adapter(scene, host);
  if (adapter.created() != RAP_OK)
    return broken("a second " + said(host, "create", adapter.created()));
  if (const rap_result r = adapter.stop(); r < 0) return broken(said(host, "stop", r));
  return judged(host, pass());
}

Outcome health(const Scene& scene, const std::string&) {
  TestHost host(scene.grants());
  Running adapter(scene, host);
  if (adapter.created() != RAP_OK) return broken(said(host, "create", adapter.created()));
  // A host of an older minor knows less of the struct: nothing may be written past its size.
  struct {
    rap_health report;
    char beyond[64];
  } room;
  rap_adapter* a = adapter.get();
  for (const std::uint32_t size : {static_cast<std::uint32_t>(sizeof(rap_health)), 16u}) {
    std::fill_n(reinterpret_cast<char*>(&room), sizeof room, '\x5a');
    room.report.size = size;
    const rap_result result = a->health(a, &room.report);
    if (result < 0) return broken(said(host, "health", result));
    const char* bytes = reinterpret_cast<const char*>(&room);
    if (!std::all_of(bytes + size, bytes + sizeof room, [](char c) { return c == '\x5a'; })) {
      return broken(fmt::format("M5 health() wrote past a struct of {} bytes", size));
    }
    if (room.report.level > RAP_HEALTH_FAILED) return broken("health() gave no level");
  }
  return judged(host, pass());
}

Outcome extensions(const Scene& scene, const std::string&) {
  TestHost host(scene.grants());
  Running adapter(scene, host);
  if (adapter.created() != RAP_OK) return broken(said(host, "create", adapter.created()));
  rap_adapter* a = adapter.get();
  for (const char* id : {"rap.no.such/1", "", "rap.adapter.session/1x", "rap.adapter.session/99",
                         "rap.adapter.session", "RAP.ADAPTER.SESSION/1"}) {
    if (a->get_extension(a, id))
      return broken(fmt::format("get_extension(\"{}\") is not NULL", id));
  }
  for (const std::string& id : scene.facts.provides) {
    const void* table = a->get_extension(a, id.c_str());
    if (!table) return broken("provides " + id + " and answers NULL");
    if (table != a->get_extension(a, id.c_str())) return broken("another answer for " + id);
  }
  return judged(host, pass());
}

Outcome own_descriptor(const Scene& scene, const std::string&) {
  TestHost host(scene.grants());
  Running adapter(scene, host);
  if (adapter.created() != RAP_OK) return broken(said(host, "create", adapter.created()));
  const auto* first = scene.plugin->adapters;
  const auto* last = first + scene.plugin->adapter_count;
  if (std::find(first, last, adapter.get()->desc) != last) return pass();
  return broken("the adapter's desc is none of the plugin's descriptors");
}

Outcome without_need(const Scene& scene, const std::string& id) {
  TestHost host(scene.grants({id}));
  Running adapter(scene, host);
  if (adapter.created() < 0) return judged(host, pass(said(host, "create", adapter.created())));
  const rap_result started = adapter.start();
  if (started < 0) return judged(host, pass(said(host, "start", started)));
  return broken("started without " + id + ", which it says it needs");
}

Outcome without_want(const Scene& scene, const std::string& id) {
  std::set<std::string> withheld{id};
  if (id.empty()) withheld = {scene.facts.wants.begin(), scene.facts.wants.end()};
  TestHost host(scene.grants(withheld));
  Running adapter(scene, host);
  if (adapter.created() != RAP_OK) return broken(said(host, "create", adapter.created()));
  const rap_result started = adapter.start();
  if (started < 0 && !wants_configuration(started)) return broken(said(host, "start", started));
  host.pump(20ms, [] { return false; });
  return judged(host, pass());
}

Outcome threads(const Scene& scene, const std::string&) {
  if (ProcessState::threads() < 0) return skip("threads cannot be counted here");
  if (const int n = ProcessState::threads(); n != 1) {
    return broken(fmt::format("{} threads before create", n));
  }
  TestHost host(scene.grants());
  Running adapter(scene, host);
  if (adapter.created() != RAP_OK) return broken(said(host, "create", adapter.created()));
  adapter.start();
  host.pump(50ms, [] { return false; });
  adapter.stop();
  // A thread that was joined leaves the list a moment later.
  int left = 0;
  host.pump(500ms, [&] { return (left = ProcessState::threads()) == 1; });
  if (left != 1) return broken(fmt::format("{} threads of its own after stop", left - 1));
  return judged(host, pass());
}

Outcome process_state(const Scene& scene, const std::string&) {
  TestHost host(scene.grants());
  Running adapter(scene, host);
  if (adapter.created() != RAP_OK) return broken(said(host, "create", adapter.created()));
  adapter.start();
  host.pump(20ms, [] { return false; });
  adapter.stop();
  adapter.destroy();
  const std::string changed = ProcessState::difference(scene.before, ProcessState::now());
  return changed.empty() ? judged(host, pass()) : broken(changed);
}

}  // namespace

std::vector<BoxedCheck> load_checks(const loader::AdapterFacts& adapter) {
  std::vector<BoxedCheck> out{
      {2, "E2", "create-unknown-id", unknown_id},
      {2, "E2", "create-similar-id", similar_id},
      {2, "ABI", "own-descriptor", own_descriptor},
      {2, "P5", "extensions", extensions},
      {2, "P6", "life", life},
      {2, "P6", "early-end", early_end},
      {2, "M5", "health", health},
      {2, "T4", "threads", threads},
      {2, "P3", "process-state", process_state},
  };
  for (const std::string& id : adapter.needs) {
    out.push_back({2, "ABI", "without-need " + id, without_need, id});
  }
  for (const std::string& id : adapter.wants) {
    out.push_back({2, "ABI", "without-want " + id, without_want, id});
  }
  if (adapter.wants.size() > 1) out.push_back({2, "ABI", "without-wants", without_want});
  return out;
}

}  // namespace rap::check
