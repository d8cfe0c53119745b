#include "controlplane/nodes/capabilities.hpp"

namespace rap::cp {
namespace {

// Nearly always nothing differs: joined, so that what is equal is neither locked nor written.
constexpr const char* kDelete = R"sql(
  delete from node_capabilities c
  where c.node_id = any ($1::text[]) and not exists (
    select from unnest($2::text[], $3::text[]) as r (node_id, name)
    where r.node_id = c.node_id and r.name = c.name)
)sql";
constexpr const char* kUpsert = R"sql(
  insert into node_capabilities (node_id, name, detail)
  select r.node_id, r.name, r.detail::jsonb
  from unnest($1::text[], $2::text[], $3::text[]) as r (node_id, name, detail)
  left join node_capabilities c on c.node_id = r.node_id and c.name = r.name
  where c.detail is distinct from r.detail::jsonb
  on conflict (node_id, name) do update set detail = excluded.detail, reported_at = now()
)sql";

}  // namespace

void store_capabilities(Tx& tx, const std::vector<CapabilitiesOf>& nodes) {
  std::vector<std::string> all, owners, names, details;
  for (const CapabilitiesOf& node : nodes) {
    all.push_back(node.node_id);
    for (const Capability& capability : *node.capabilities) {
      owners.push_back(node.node_id);
      names.push_back(capability.name);
      details.push_back(capability.detail);
    }
  }
  tx.query(kDelete, {all, owners, names});
  if (!names.empty()) tx.query(kUpsert, {owners, names, details});
}

}  // namespace rap::cp
