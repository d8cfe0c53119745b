// What a node says of its place in the mesh: read from JSON, bounded, compared with what it said
// before. Pure; docs/contracts/mesh-control.md has the format.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace rap::cp {

// A relay has 20 peers and 256 leaves (Policy::relay), and some that it lost.
inline constexpr std::size_t kReportLinksMax = 512;
inline constexpr std::size_t kReportEndpointsMax = 8;
inline constexpr std::size_t kReportAttachedMax = 8;
// Directories say another load when it moved so far, so that they do not change with every report.
inline constexpr std::int64_t kLoadStep = 150;  // permille

struct ReportedLink {
  std::string peer;
  bool up = false;
  SystemTime since{};                                       // of the state, on our clock
  SystemTime measured{};                                    // the figures
  std::optional<std::int64_t> rtt_us, loss_permille, kbps;  // not measured: unknown
};

struct MeshReport {
  std::string boot_id;
  std::int64_t seq = 0;
  std::vector<std::string> endpoints, attached;
  std::optional<std::int64_t> load_permille;
  bool draining = false;
  std::vector<ReportedLink> links;
};

// Times are ages in the report, so that the clock of a node moves nothing here; `received` is ours.
// `invalid` naming the member: figures out of range, not an id, one peer twice, itself as a peer.
Result<MeshReport> parse_mesh_report(const boost::json::object& object, std::string_view reporter,
                                     SystemTime received);

// May this report replace what is stored? Of one boot the sequence grows; a boot that another one
// followed does not come back. That is the order on the node, whatever the order of arrival.
struct ReportOrder {
  std::string boot_id, previous_boot_id;
  std::int64_t seq = 0;
};
bool is_newer(const MeshReport& report, const ReportOrder& stored);

// The compact form in PostgreSQL, and back. What is stored and cannot be read is left out.
boost::json::array links_to_json(const std::vector<ReportedLink>& links);
std::vector<ReportedLink> links_from_json(const boost::json::array& stored);

struct LinkChange {
  std::string peer;
  bool up = false;
  SystemTime since{};
};
// Links that went up or down between two reports. One that is no longer mentioned is down since now
// if it was up.
std::vector<LinkChange> link_changes(const std::vector<ReportedLink>& before,
                                     const std::vector<ReportedLink>& after, SystemTime now);

// What directories say after a report of `load`; `told` is what they say.
std::optional<std::int64_t> load_to_tell(std::optional<std::int64_t> told,
                                         std::optional<std::int64_t> load);

}  // namespace rap::cp
