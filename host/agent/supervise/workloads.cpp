#include "host/agent/supervise/workloads.hpp"

#include <algorithm>
#include <set>

#include "base/log.hpp"
#include "host/agent/supervise/workload_port.hpp"

namespace rap::agent {
namespace {

Result<ZygoteSpec> spec_of(const RoleAssignment& role, const Applied& applied) {
  if (role.product.empty()) {
    return fail(Errc::not_found, role.reason.empty()
                                     ? "no release of a plugin for this role is assigned"
                                     : role.reason);
  }
  const std::string& version = version_in_force(applied, role);
  const auto found = applied.releases.find({role.product, version});
  if (found == applied.releases.end()) {
    return fail(Errc::not_found, role.product + " " + version + " is not known yet");
  }
  if (!found->second) return fail(found->second.error());
  const Release& release = *found->second;
  for (const loader::AdapterFacts& adapter : release.manifest.adapters) {
    if (std::find(adapter.roles.begin(), adapter.roles.end(), role.role) == adapter.roles.end()) {
      continue;
    }
    if (auto allowed = profile_for(adapter, role.role); !allowed) return fail(allowed.error());
    if (auto grants = grants_for(adapter); !grants) return fail(std::move(grants.error()));
    ZygoteSpec out;
    out.release = release;
    out.adapter = adapter;
    out.config_json = role.config_json;
    if (!is_session_adapter(adapter)) {
      out.role = role.role;
      out.assignment_id = role.assignment_id;
    }
    return out;
  }
  return fail(Errc::mismatch,
              role.product + " " + version + " has no adapter for the role " + role.role);
}

// Those that have something here.
std::set<std::string> organizations_of(const Applied& applied) {
  std::set<std::string> out;
  for (const auto& [id, resource] : applied.access.resources) out.insert(resource.organization_id);
  return out;
}

// Which roles of the mesh are filled by the process of core-mesh, and why the others are not.
void join_mesh(std::vector<PlannedRole>& plan) {
  const PlannedRole* core = nullptr;
  std::string why = "needs the role core-mesh on this node";
  for (const PlannedRole& role : plan) {
    if (role.assignment.role != "core-mesh" || core != nullptr) continue;
    if (role.spec && role.spec->mesh()) core = &role;
    if (!role.spec) why = "needs core-mesh, which cannot run: " + role.spec.error().detail;
  }
  for (PlannedRole& role : plan) {
    if (!role.spec || !role.spec->mesh() || &role == core) continue;
    if (core == nullptr) {
      role.unmet = why;
    } else if (role.spec->digest() != core->spec->digest()) {
      const loader::PluginManifest& runs = core->spec->release.manifest;
      role.unmet = "needs core-mesh of the same release, which is " + runs.product + " " +
                   runs.version + " on this node";
    } else {
      role.joins = core->assignment.assignment_id;
    }
  }
}

// "runs 1.0.0; 1.1.0 was refused: .." where another version serves than the assigned one.
std::string refusal_of(const RoleAssignment& role, const Applied& applied) {
  if (!applied.instead.contains(role.assignment_id)) return "";
  const auto assigned = applied.releases.find({role.product, role.version});
  if (assigned == applied.releases.end() || assigned->second) return "";
  return "runs " + version_in_force(applied, role) + "; " + role.version +
         " was refused: " + assigned->second.error().detail;
}

}  // namespace

std::vector<PlannedRole> plan_roles(const Applied& applied) {
  std::vector<PlannedRole> out;
  for (const RoleAssignment& role : applied.roles) {
    std::set<std::string> organizations;
    if (!role.organization_id.empty()) {
      organizations.insert(role.organization_id);
    } else {
      for (const auto& [id, resource] : applied.access.resources) {
        if (resource.role == role.role) organizations.insert(resource.organization_id);
      }
      if (organizations.empty()) organizations.insert("");
    }
    PlannedRole planned{role, spec_of(role, applied), refusal_of(role, applied), {}};
    planned.organizations.assign(organizations.begin(), organizations.end());
    out.push_back(std::move(planned));
  }
  join_mesh(out);
  return out;
}

std::set<MeshUse> mesh_uses(const std::vector<PlannedRole>& plan) {
  std::set<MeshUse> out;
  bool mesh = false;
  for (const PlannedRole& role : plan) {
    if (role.spec && role.spec->mesh()) {
      if (!role.unmet.empty()) continue;
      mesh = mesh || role.spec->asks_for("rap.host.identity/1");
      if (role.assignment.role == "entry-node") out.insert({MeshPurpose::entry, ""});
      continue;
    }
    for (const std::string& organization : role.organizations) {
      if (!organization.empty()) out.insert({MeshPurpose::service, organization});
    }
  }
  if (!mesh) return {};
  out.insert({MeshPurpose::mesh, ""});
  return out;
}

void Workloads::set_identities(MeshHandPtr identities) {
  identities_ = std::move(identities);
  for (const auto& [name, zygote] : zygotes_) zygote->set_identities(identities_);
  for (const auto& [name, zygote] : retired_) zygote->set_identities(identities_);
}

Workloads::Workloads(Context& context, LogCapture& logs, Hooks hooks)
    : context_(context), logs_(logs), hooks_(std::move(hooks)) {}

std::shared_ptr<Zygote> Workloads::mesh() const {
  for (const auto& [name, zygote] : zygotes_) {
    if (zygote->spec().mesh() && zygote->ready()) return zygote;
  }
  return nullptr;
}

std::vector<std::string> Workloads::mesh_endpoints() const {
  std::vector<std::string> out;
  const auto zygote = mesh();
  if (zygote == nullptr) return out;
  for (const ServiceReport& service : zygote->services()) {
    const bool wildcard =
        service.address.starts_with("0.0.0.0:") || service.address.starts_with("[::]:");
    if (service.service == "mesh" && !wildcard) out.push_back(service.address);
  }
  return out;
}

void Workloads::drop_streams(const std::string& session, const std::string& organization) {
  for (const auto& zygote : all()) zygote->drop_streams(session, organization);
}

std::shared_ptr<Zygote> Workloads::make(ZygoteSpec spec) {
  Zygote::Hooks hooks;
  hooks.changed = hooks_.changed;
  hooks.artifact_bad = hooks_.artifact_bad;
  hooks.session_exited = hooks_.session_exited;
  hooks.artifact_refused = hooks_.artifact_refused;
  hooks.open_stream = hooks_.open_stream;
  hooks.knows_session = hooks_.knows_session;
  hooks.mesh_stream = hooks_.mesh_stream;
  hooks.mesh_report = hooks_.mesh_report;
  hooks.gave_way = [this] {
    if (applied_ != nullptr) apply(applied_);
  };
  auto made = std::make_shared<Zygote>(context_, logs_, std::move(spec), std::move(hooks));
  made->set_identities(identities_);
  return made;
}

void Workloads::adopt(InstanceRecord record, const Applied* applied) {
  ZygoteSpec spec;
  spec.organization = record.organization;
  spec.adapter.id = record.adapter;
  spec.release.artifact_sha256 = record.digest;
  spec.release.manifest.product = record.product;
  spec.release.manifest.version = record.version;
  spec.assignment_id = record.assignment;
  const std::string name = record.name;
  if (applied != nullptr) {
    for (const PlannedRole& role : plan_roles(*applied)) {
      if (!role.spec) continue;
      const ZygoteSpec planned = with_organization(*role.spec, record.organization);
      if (instance_name(planned) == name) spec = planned;
    }
  }
  auto zygote = make(std::move(spec));
  if (Status adopted = zygote->adopt(std::move(record)); !adopted) {
    log::warn("worker of an earlier agent is gone",
              {{"instance", name}, {"detail", adopted.error().detail}});
    return;
  }
  zygotes_[name] = zygote;
  zygote->start();
}

void Workloads::apply(AppliedPtr applied) {
  if (stopping_) return;
  if (applied_ != nullptr && applied_ != applied) {
    const std::set<std::string> served = organizations_of(*applied);
    for (const std::string& before : organizations_of(*applied_)) {
      if (!served.contains(before)) drop_streams("", before);
    }
  }
  applied_ = std::move(applied);
  std::vector<PlannedRole> plan;
  // A node that is not active starts nothing, and lets what runs come to its end.
  if (applied_->membership.status == NodeStatus::active) plan = plan_roles(*applied_);
  std::set<std::string> wanted;
  std::vector<ZygoteSpec> missing;
  for (const PlannedRole& role : plan) {
    if (!role.starts()) continue;
    for (const std::string& organization : role.organizations) {
      ZygoteSpec spec = with_organization(*role.spec, organization);
      const std::string name = instance_name(spec);
      wanted.insert(name);
      if (zygotes_.contains(name)) continue;
      // A retired zygote comes back while its sessions go on; a workload drains already.
      if (const auto back = retired_.find(name);
          back != retired_.end() && !spec.workload() && !back->second->stopped()) {
        zygotes_.insert(retired_.extract(back));
        continue;
      }
      missing.push_back(std::move(spec));
    }
  }
  // The same zygotes with another assignment: a failed one deserves another try.
  const bool changed =
      !std::equal(plan.begin(), plan.end(), plan_.begin(), plan_.end(),
                  [](const auto& a, const auto& b) { return a.assignment == b.assignment; });
  plan_ = std::move(plan);
  std::vector<std::string> unwanted;
  for (const auto& [name, zygote] : zygotes_) {
    if (!wanted.contains(name)) unwanted.push_back(name);
  }
  for (const std::string& name : unwanted) retire(name);
  for (ZygoteSpec& spec : missing) {
    if (must_wait(spec)) continue;  // gave_way() brings it back here
    auto zygote = make(std::move(spec));
    zygotes_[zygote->name()] = zygote;
    zygote->start();
  }
  arrange_joined();
  std::set<std::string> kept;
  for (const RoleAssignment& role : applied_->roles) kept.insert(role.assignment_id);
  for (const auto& [name, zygote] : retired_) kept.insert(zygote->spec().assignment_id);
  remove_other_workload_directories(context_.state, kept);
  for (const auto& [name, zygote] : zygotes_) hand_documents(*zygote);
  // The mesh of a node that is no longer active drains, and takes no lease any more.
  for (const auto& [name, zygote] : retired_) {
    if (zygote->spec().mesh()) hand_documents(*zygote);
  }
  if (changed) retry_failed();
}

void Workloads::arrange_joined() {
  for (const PlannedRole& core : plan_) {
    if (!core.starts() || !core.spec->mesh()) continue;
    const auto zygote = instance(core, core.organizations.front());
    if (zygote == nullptr) continue;
    std::vector<JoinedRole> roles;
    for (const PlannedRole& role : plan_) {
      if (role.joins != core.assignment.assignment_id) continue;
      // A second core-mesh is filled already.
      if (role.spec->adapter.id == core.spec->adapter.id) continue;
      roles.push_back({role.assignment.role, role.assignment.assignment_id, role.spec->adapter,
                       role.spec->config_json});
    }
    zygote->set_joined(roles);
  }
}

void Workloads::hand_documents(Zygote& zygote) const {
  const ZygoteSpec& spec = zygote.spec();
  if (!spec.workload()) return;
  const auto made = [](std::string text) {
    return std::make_shared<const std::string>(std::move(text));
  };
  if (spec.mesh()) {
    zygote.set_document("mesh", applied_->directory);
    zygote.set_document("access", made(access_document(*applied_)));
  } else {
    zygote.set_document("resources",
                        made(resources_document(*applied_, spec.role, spec.organization)));
  }
}

bool Workloads::must_wait(const ZygoteSpec& spec) const {
  if (!spec.workload()) return false;
  // Sockets are free as soon as the old one drains. A directory has one user, and a name one
  // process.
  const bool alone = spec.asks_for("rap.host.state-dir/1");
  return std::any_of(retired_.begin(), retired_.end(), [&](const auto& entry) {
    const Zygote& old = *entry.second;
    if (old.spec().assignment_id != spec.assignment_id ||
        old.spec().organization != spec.organization) {
      return false;
    }
    return !old.stopped() && (alone || !old.gave_way() || old.name() == instance_name(spec));
  });
}

ZygoteSpec Workloads::with_organization(ZygoteSpec spec, const std::string& organization) {
  spec.organization = organization;
  return spec;
}

std::shared_ptr<Zygote> Workloads::instance(const PlannedRole& role,
                                            const std::string& organization) const {
  if (!role.joins.empty()) {
    for (const PlannedRole& core : plan_) {
      const std::string& id = core.assignment.assignment_id;
      if (id == role.joins) return instance(core, core.organizations.front());
    }
  }
  if (!role.starts()) return nullptr;
  const auto found = zygotes_.find(instance_name(with_organization(*role.spec, organization)));
  return found == zygotes_.end() ? nullptr : found->second;
}

void Workloads::retire(const std::string& name) {
  auto node = zygotes_.extract(name);
  if (node.empty()) return;
  std::shared_ptr<Zygote> zygote = node.mapped();
  retired_[name] = zygote;
  if (hooks_.sessions_in(name) == 0) {
    context_.tasks.spawn("retire", stop_retired(*this, std::move(zygote)));
  }
}

net::Task<void> Workloads::stop_retired(Workloads& self, std::shared_ptr<Zygote> zygote) {
  Status stopped = co_await zygote->stop(Zygote::Force::no);
  // The name may be another's by now: one that was brought back while this one drained.
  const auto at = self.retired_.find(zygote->name());
  if (stopped && at != self.retired_.end() && at->second == zygote) self.retired_.erase(at);
  if (zygote->spec().workload() && self.applied_ != nullptr) self.apply(self.applied_);
}

void Workloads::session_ended() {
  for (const auto& [name, zygote] : retired_) {
    if (!zygote->stopped() && hooks_.sessions_in(name) == 0) {
      context_.tasks.spawn("retire", stop_retired(*this, zygote));
    }
  }
}

bool Workloads::lacks_artifacts() const {
  return std::any_of(plan_.begin(), plan_.end(),
                     [](const PlannedRole& role) { return !role.spec || !role.refused.empty(); });
}

void Workloads::retry_failed() {
  for (const auto& [name, zygote] : zygotes_) {
    if (zygote->state() != WorkloadState::running) zygote->retry();
  }
}

Result<std::shared_ptr<Zygote>> Workloads::find(const std::string& role,
                                                const std::string& organization) {
  std::string reason = "the role " + role + " is not assigned to this node";
  for (const PlannedRole& planned : plan_) {
    if (planned.assignment.role != role) continue;
    if (!planned.assignment.organization_id.empty() &&
        planned.assignment.organization_id != organization) {
      reason = "the role " + role + " is assigned for another organization";
      continue;
    }
    if (!planned.spec) return fail(Errc::unavailable, planned.spec.error().detail);
    if (planned.spec->workload()) {
      reason = "the plugin of the role " + role + " has no sessions";
      continue;
    }
    if (auto found = instance(planned, organization)) return found;
    reason = "the worker for this organization is not started yet";
  }
  return fail(Errc::unavailable, reason);
}

namespace {

// A role is as well as the worst of its workers.
int badness(WorkloadState state) {
  switch (state) {
    case WorkloadState::running:
      return 0;
    case WorkloadState::starting:
      return 1;
    case WorkloadState::stopped:
      return 2;
    case WorkloadState::degraded:
      return 3;
    case WorkloadState::failed:
      return 4;
  }
  return 4;
}

}  // namespace

WorkloadReport Workloads::report_of(const PlannedRole& role) const {
  WorkloadReport out;
  out.assignment_id = role.assignment.assignment_id;
  out.role = role.assignment.role;
  out.organization = role.assignment.organization_id;
  out.version = role.spec ? role.spec->release.manifest.version : role.assignment.version;
  if (!role.spec || !role.unmet.empty()) {
    out.state = WorkloadState::degraded;
    out.detail = role.spec ? role.unmet : role.spec.error().detail;
    return out;
  }
  bool first = true;
  for (const std::string& organization : role.organizations) {
    const auto found = instance(role, organization);
    if (!found) {
      out.detail = "waits until its predecessor has ended";
      continue;
    }
    const auto [state, detail] = found->state_of(role.spec->adapter.id);
    if (!first && badness(state) <= badness(out.state)) continue;
    first = false;
    out.state = state;
    out.detail = detail;
    out.pid = found->pid();
  }
  if (!role.refused.empty()) {
    if (badness(out.state) < badness(WorkloadState::degraded)) out.state = WorkloadState::degraded;
    out.detail = role.refused + (out.detail.empty() ? "" : "; " + out.detail);
  }
  return out;
}

std::vector<WorkloadReport> Workloads::report() const {
  std::vector<WorkloadReport> out;
  for (const PlannedRole& role : plan_) out.push_back(report_of(role));
  return out;
}

std::vector<SandboxLayer> Workloads::sandbox_layers() const {
  for (const auto& [name, zygote] : zygotes_) {
    if (!zygote->layers().empty()) return zygote->layers();
  }
  return {};
}

std::vector<std::shared_ptr<Zygote>> Workloads::all() const {
  std::vector<std::shared_ptr<Zygote>> out;
  for (const auto& [name, zygote] : zygotes_) out.push_back(zygote);
  for (const auto& [name, zygote] : retired_) out.push_back(zygote);
  return out;
}

net::Task<void> Workloads::stop_all() {
  stopping_ = true;
  for (const std::shared_ptr<Zygote>& zygote : all()) {
    Status stopped = co_await zygote->stop(Zygote::Force::yes);
    if (!stopped)
      log::warn("worker did not stop",
                {{"instance", zygote->name()}, {"detail", stopped.error().text()}});
  }
}

}  // namespace rap::agent
