// The table of contents of the API.
#include "controlplane/clusters/routes.hpp"

#include "controlplane/audit/audit.hpp"
#include "controlplane/auth/people.hpp"
#include "controlplane/auth/tokens.hpp"
#include "controlplane/director/director.hpp"
#include "controlplane/enrollment/routes.hpp"
#include "controlplane/http/api.hpp"
#include "controlplane/http/operations.hpp"
#include "controlplane/mesh/routes.hpp"
#include "controlplane/nodes/routes.hpp"
#include "controlplane/releases/routes.hpp"
#include "controlplane/resources/routes.hpp"
#include "controlplane/roles/routes.hpp"
#include "controlplane/secrets/routes.hpp"
#include "controlplane/sessions/routes.hpp"
#include "controlplane/tenancy/routes.hpp"

namespace rap::cp {

std::vector<Route> all_routes() {
  std::vector<Route> routes;
  add_operations_routes(routes);
  add_auth_routes(routes);
  add_token_routes(routes);
  add_password_routes(routes);
  add_organization_routes(routes);
  add_user_routes(routes);
  add_standing_routes(routes);
  add_membership_routes(routes);
  add_cluster_routes(routes);
  add_director_root_routes(routes);
  add_node_group_routes(routes);
  add_join_token_routes(routes);
  add_join_request_routes(routes);
  add_enroll_routes(routes);
  add_node_routes(routes);
  add_role_routes(routes);
  add_resource_routes(routes);
  add_secret_routes(routes);
  add_session_routes(routes);
  add_node_session_routes(routes);
  add_release_routes(routes);
  add_audit_routes(routes);
  add_heartbeat_routes(routes);
  add_node_event_routes(routes);
  add_desired_routes(routes);
  add_tuf_routes(routes);
  add_mesh_certificate_routes(routes);
  add_mesh_report_routes(routes);
  add_mesh_policy_routes(routes);
  add_mesh_node_routes(routes);
  add_mesh_organization_routes(routes);
  add_egress_pool_routes(routes);
  add_mesh_link_routes(routes);
  add_mesh_explain_routes(routes);
  add_mesh_access_routes(routes);
  return routes;
}

}  // namespace rap::cp
