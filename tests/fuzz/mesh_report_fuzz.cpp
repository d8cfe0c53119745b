// What a node reports of its links: any JSON object.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <boost/json.hpp>

#include "base/json.hpp"
#include "controlplane/mesh/names.hpp"
#include "controlplane/mesh/report_rules.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rap;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto value = parse_json(text);
  if (!value || !value->is_object()) return 0;
  const SystemTime now = from_unix_seconds(1'800'000'000);
  (void)cp::public_endpoints(value->get_object());
  const auto report =
      cp::parse_mesh_report(value->get_object(), "nod_00000000000000000000000001", now);
  if (!report) return 0;
  const auto back = cp::links_from_json(cp::links_to_json(report->links));
  if (back.size() != report->links.size()) std::abort();
  for (const cp::ReportedLink& link : back) {
    if (link.since > now || link.measured > now) std::abort();
  }
  if (!cp::link_changes(back, report->links, now).empty()) std::abort();
  return 0;
}
