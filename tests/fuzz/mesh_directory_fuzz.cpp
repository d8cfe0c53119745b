// The peer directory a node is sent: no text crashes the parser, what is accepted survives being
// written and compiled, and deciding over it gives paths that the rules allow.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fabric/routing/engine.hpp"
#include "fabric/routing/rules.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rap::routing;
  const auto doc = parse_directory({reinterpret_cast<const char*>(data), size});
  if (!doc) return 0;
  if (parse_directory(to_json(*doc)).value() != *doc) __builtin_trap();
  const auto directory = Directory::compile(*doc);
  if (!directory) return 0;
  if (!Directory::compile(directory->doc())) __builtin_trap();
  const Measurements measurements;
  const Moment now{MonoTime{0}, doc->issued_at};
  for (const NodeEntry& node : doc->nodes) {
    Request request;
    request.cluster_id = directory->cluster_id();
    request.origin = directory->self();
    request.target = node.node_id;
    request.organization = node.owner;
    std::array<Candidate, 8> out;
    const Decision decision = decide(*directory, measurements, request, now, out);
    for (std::size_t i = 0; i < decision.count; ++i) {
      if (out[i].path.count >= 2 && !check_route(*directory, request, out[i].path.view(), now)) {
        __builtin_trap();
      }
    }
  }
  return 0;
}
