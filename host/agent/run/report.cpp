// What the agent says about itself: status document, metrics, probes.
#include <fmt/core.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "host/agent/run/agent.hpp"
#include "host/agent/version.hpp"

namespace rap::agent {
namespace json = boost::json;

std::optional<std::string> Agent::not_started() const {
  if (applied_ == nullptr) {
    return "no snapshot yet: " + (sync_trouble_.empty() ? "waiting" : sync_trouble_);
  }
  return std::nullopt;
}

std::optional<std::string> Agent::not_ready() const {
  if (!control_state_.shut_out.empty()) return control_state_.shut_out;
  if (auto reason = certificate_trouble()) return reason;
  if (auto reason = not_started()) return reason;
  if (applied_->membership.status == NodeStatus::revoked) return "this node was revoked";
  if (applied_->membership.status == NodeStatus::disabled) {
    return "this node is disabled: it gets nothing new to do";
  }
  if (listener_->state() != WorkloadState::running) return "listener: " + listener_->detail();
  if (!events_.disk_trouble().empty()) return "disk: " + events_.disk_trouble();
  return std::nullopt;
}

std::optional<std::string> Agent::stale() const {
  if (applied_ == nullptr) return std::nullopt;
  const SystemTime now = RealClock().now();
  const auto since = [](std::string_view what, SystemTime when) {
    return "stale: the word of the " + std::string(what) + " ended " + to_rfc3339(when) +
           "; what runs goes on, nothing new is trusted";
  };
  if (applied_->director_expires <= now) {
    return since("control plane", applied_->director_expires);
  }
  if (!release_trouble_.empty() && applied_->release_expires <= now) {
    return since("release repository", applied_->release_expires);
  }
  return std::nullopt;
}

json::object Agent::status() const {
  const SystemTime now = RealClock().now();
  json::array workloads;
  for (const WorkloadReport& report : workloads_.report()) {
    workloads.push_back(json::object{{"assignment_id", report.assignment_id},
                                     {"role", report.role},
                                     {"organization", report.organization},
                                     {"state", name(report.state)},
                                     {"detail", report.detail},
                                     {"version", report.version},
                                     {"pid", report.pid}});
  }
  json::array workers;
  for (const auto& zygote : workloads_.all()) {
    json::array layers;
    for (const SandboxLayer& layer : zygote->layers()) {
      layers.push_back(
          json::object{{"name", layer.name}, {"state", layer.state}, {"detail", layer.detail}});
    }
    json::array services;
    for (const ServiceReport& service : zygote->services()) {
      services.push_back(json::object{{"service", service.service}, {"address", service.address}});
    }
    workers.push_back(json::object{{"instance", zygote->name()},
                                   {"product", zygote->spec().release.manifest.product},
                                   {"version", zygote->spec().release.manifest.version},
                                   {"sha256", zygote->spec().digest()},
                                   {"organization", zygote->spec().organization},
                                   {"state", name(zygote->state())},
                                   {"detail", zygote->detail()},
                                   {"pid", zygote->pid()},
                                   {"services", std::move(services)},
                                   {"layers", std::move(layers)}});
  }
  json::array sessions;
  for (const SessionReport& report : broker_.report()) {
    sessions.push_back(json::object{{"session_id", report.session_id},
                                    {"state", report.state},
                                    {"detail", report.detail},
                                    {"controller", report.controller},
                                    {"viewers", report.viewers}});
  }
  json::object snapshot;
  if (applied_ != nullptr) {
    snapshot = {{"director_version", applied_->director_version},
                {"director_expires", to_rfc3339(applied_->director_expires)},
                {"fresh", applied_->director_expires > now},
                {"release_expires", to_rfc3339(applied_->release_expires)},
                {"authority_term", applied_->membership.authority_term},
                {"resources", applied_->access.resources.size()}};
  }
  snapshot["trouble"] = sync_trouble_;
  snapshot["release_trouble"] = release_trouble_;
  const auto old = stale();
  snapshot["stale"] = old.value_or("");

  const auto reason = not_ready();
  const bool degraded = reason || !control_state_.reached || old;
  std::string detail = reason.value_or(control_state_.trouble);
  if (detail.empty()) detail = old.value_or("");
  auto certificate = net::parse_certificate_pem(identity_.certificate_pem);
  return {{"version", kAgentVersion},
          {"state", degraded ? "degraded" : "running"},
          {"detail", std::move(detail)},
          {"node_id", identity_.node_id},
          {"cluster_id", identity_.cluster_id},
          {"certificate_expires", certificate ? to_rfc3339(certificate->not_after) : ""},
          {"certificate_trouble", certificate_trouble().value_or("")},
          {"server", server_.base_url},
          {"control_plane",
           {{"reached", control_state_.reached},
            {"trouble", control_state_.trouble},
            {"clock_suspect", control_state_.clock_suspect},
            {"last_contact", to_rfc3339(control_state_.last_contact)},
            {"clock_difference_s", control_state_.clock_difference_s}}},
          {"snapshot", std::move(snapshot)},
          {"listener",
           {{"state", name(listener_->state())},
            {"detail", listener_->detail()},
            {"endpoint", listener_->endpoint()},
            {"pid", listener_->pid()}}},
          {"workloads", std::move(workloads)},
          {"workers", std::move(workers)},
          {"sessions", std::move(sessions)},
          {"events_waiting", events_.waiting()}};
}

std::string Agent::metrics() const {
  std::string out;
  const auto counter = [&](std::string_view what, std::uint64_t value) {
    out +=
        fmt::format("# TYPE rap_agent_{0}_total counter\nrap_agent_{0}_total {1}\n", what, value);
  };
  const auto gauge = [&](std::string_view what, std::int64_t value) {
    out += fmt::format("# TYPE rap_agent_{0} gauge\nrap_agent_{0} {1}\n", what, value);
  };
  const Counters& c = context_.counters;
  counter("heartbeats", c.heartbeats);
  counter("heartbeats_failed", c.heartbeats_failed);
  counter("syncs", c.syncs);
  counter("syncs_failed", c.syncs_failed);
  counter("release_syncs_failed", c.release_syncs_failed);
  counter("certificates_renewed", c.certificates_renewed);
  counter("artifacts_refused", c.artifacts_refused);
  counter("process_starts", c.process_starts);
  counter("process_ends", c.process_ends);
  counter("processes_adopted", c.processes_adopted);
  counter("processes_lost", c.processes_lost);
  counter("sessions_opened", c.sessions_opened);
  counter("attachments", c.attachments);
  counter("streams_refused", c.streams_refused);
  counter("dials", c.dials);
  counter("dials_refused", c.dials_refused);
  counter("secrets_resolved", c.secrets_resolved);
  counter("secrets_refused", c.secrets_refused);
  counter("mesh_reports", c.mesh_reports);
  counter("mesh_reports_failed", c.mesh_reports_failed);
  counter("requests_refused", c.requests_refused);
  counter("events_unfounded", c.events_unfounded);
  counter("events_kept", c.events_kept);
  counter("events_sent", c.events_sent);
  counter("events_dropped", events_.dropped());
  counter("log_lines", c.log_lines);
  counter("log_lines_dropped", c.log_lines_dropped);
  gauge("sessions", static_cast<std::int64_t>(broker_.size()));
  gauge("events_waiting", static_cast<std::int64_t>(events_.waiting()));
  gauge("control_plane_reached", control_state_.reached ? 1 : 0);
  gauge("clock_difference_seconds", control_state_.clock_difference_s);
  gauge("clock_suspect", control_state_.clock_suspect ? 1 : 0);
  if (auto certificate = net::parse_certificate_pem(identity_.certificate_pem)) {
    gauge("certificate_expires_seconds", to_unix_seconds(certificate->not_after));
  }
  gauge("snapshot_stale", stale() ? 1 : 0);
  // The age of what is known; -1: nothing was confirmed since this agent started.
  gauge("snapshot_age_seconds",
        last_sync_ == SystemTime{}
            ? -1
            : std::chrono::duration_cast<std::chrono::seconds>(RealClock().now() - last_sync_)
                  .count());
  gauge("director_version", applied_ ? applied_->director_version : 0);
  gauge("memory_resident_kb", process_rss_kb(getpid()));
  return out;
}

}  // namespace rap::agent
