// Which zygotes should run, from the applied snapshots; starts, retires and reports them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "host/agent/supervise/zygote.hpp"

namespace rap::agent {

// A role assignment with its release, or the reason why there is none that can run.
struct PlannedRole {
  RoleAssignment assignment;
  Result<ZygoteSpec> spec;                 // without organization
  std::string refused;                     // why `spec` is of an earlier version, or empty
  std::vector<std::string> organizations;  // a zygote each; "" proves that the plugin loads
  // Roles of the mesh are filled by one process, that of the first core-mesh with a network, with
  // an adapter for each. `joins`: that assignment. `unmet`: why this role is not filled although it
  // has a release.
  std::string joins = {}, unmet = {};

  bool starts() const { return spec && joins.empty() && unmet.empty(); }
};
// Pure. One entry per assignment, in their order.
std::vector<PlannedRole> plan_roles(const Applied& applied);

// The certificates that the planned roles need: none without a plugin that asks for
// rap.host.identity/1 and runs. Pure.
std::set<MeshUse> mesh_uses(const std::vector<PlannedRole>& plan);

class Workloads {
 public:
  struct Hooks {
    std::function<void()> changed;
    std::function<void()> artifact_bad;
    std::function<void(std::string session, ExitInfo how)> session_exited;
    // Sessions that live in this zygote: a retired one waits for them.
    std::function<int(const std::string& zygote)> sessions_in;
    std::function<void(std::string product, std::string detail)> artifact_refused = {};
    // Zygote::Hooks::open_stream.
    std::function<net::Task<Result<Fd>>(std::string role, std::string organization,
                                        std::string target, net::milliseconds limit)>
        open_stream = {};
    std::function<bool(const std::string& session)> knows_session = {};  // Zygote::Hooks
    std::function<void(MeshStream stream)> mesh_stream = {};             // Zygote::Hooks
    std::function<void(boost::json::object report)> mesh_report = {};    // Zygote::Hooks
  };
  Workloads(Context& context, LogCapture& logs, Hooks hooks);

  // A zygote of an earlier agent; before apply(). Its release is read from `applied`; one that is
  // no longer listed there is kept only while it has sessions.
  void adopt(InstanceRecord record, const Applied* applied);
  // Starts what is missing, retires what is not wanted any more, retries what failed when its
  // assignment or release changed.
  void apply(AppliedPtr applied);
  // The node's mesh, when its process is ready; null otherwise.
  std::shared_ptr<Zygote> mesh() const;
  // Where it listens for other nodes; none where only a wildcard is known.
  std::vector<std::string> mesh_endpoints() const;
  // Zygote::drop_streams() of the node's mesh, if it has one.
  void drop_streams(const std::string& session, const std::string& organization);
  // What plugins of the mesh are handed, now and when they start.
  void set_identities(MeshHandPtr identities);
  const std::vector<PlannedRole>& plan() const { return plan_; }
  // Call after a session ended: a retired zygote may go now.
  void session_ended();
  // After a download: zygotes that failed for their artifact try again.
  void retry_failed();

  // True while an assigned role has no verified artifact: a download failed, or there is no
  // release.
  bool lacks_artifacts() const;

  // The zygote for sessions of `role` in `organization`; the reason when there is none.
  Result<std::shared_ptr<Zygote>> find(const std::string& role, const std::string& organization);

  std::vector<WorkloadReport> report() const;
  std::vector<SandboxLayer> sandbox_layers() const;
  std::vector<std::shared_ptr<Zygote>> all() const;

  // Everything, sessions or not; nothing is started afterwards.
  net::Task<void> stop_all();

 private:
  std::shared_ptr<Zygote> make(ZygoteSpec spec);
  void arrange_joined();
  WorkloadReport report_of(const PlannedRole& role) const;
  void retire(const std::string& name);
  // What the workload may know by the set in force; nothing for a zygote.
  void hand_documents(Zygote& zygote) const;
  // Another instance of the same assignment still has what `spec` needs for itself.
  bool must_wait(const ZygoteSpec& spec) const;
  static ZygoteSpec with_organization(ZygoteSpec spec, const std::string& organization);
  // The instance of a planned role for an organization, of a joined one that which it joins; null:
  // not started.
  std::shared_ptr<Zygote> instance(const PlannedRole& role, const std::string& organization) const;
  static net::Task<void> stop_retired(Workloads& self, std::shared_ptr<Zygote> zygote);

  Context& context_;
  LogCapture& logs_;
  Hooks hooks_;
  AppliedPtr applied_;
  MeshHandPtr identities_;
  std::vector<PlannedRole> plan_;
  std::map<std::string, std::shared_ptr<Zygote>> zygotes_;  // by name
  std::map<std::string, std::shared_ptr<Zygote>> retired_;
  bool stopping_ = false;
};

}  // namespace rap::agent
