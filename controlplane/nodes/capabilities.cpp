#include "controlplane/nodes/capabilities.hpp"

namespace rap::cp {
namespace {

constexpr const char* kDelete =
    "delete from node_capabilities where node_id = $1 and not (name = any ($2::text[]))";
constexpr const char* kUpsert = R"sql(
  insert into node_capabilities (node_id, name, detail)
  select $1, name, detail::jsonb from unnest($2::text[], $3::text[]) as reported (name, detail)
  on conflict (node_id, name) do update set detail = excluded.detail, reported_at = now()
)sql";

}  // namespace

void store_capabilities(Tx& tx, const NodeId& node, const std::vector<Capability>& capabilities) {
  std::vector<std::string> names;
  std::vector<std::string> details;
  for (const Capability& capability : capabilities) {
    names.push_back(capability.name);
    details.push_back(capability.detail);
  }
  tx.query(kDelete, {node, names});
  tx.query(kUpsert, {node, names, details});
}

}  // namespace rap::cp
