// Brings clients' streams to session workers: checks the lease's claims against the snapshots,
// finds or creates the worker, hands the stream over. Session bytes never pass through here.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "host/agent/control/control_client.hpp"
#include "host/agent/session/room.hpp"
#include "host/agent/session/session.hpp"
#include "host/agent/supervise/mesh_listener.hpp"
#include "host/agent/supervise/workloads.hpp"

namespace rap::agent {

// The claims of a verified lease that matter here.
struct StreamClaims {
  std::string session, organization, resource;
  std::string user_id, user_name;
  enum class Verb { open, attach } verb = Verb::attach;
  std::string mode;  // "control" or "view"
};
// Fails with `invalid`, naming the claim.
Result<StreamClaims> parse_stream_claims(const boost::json::object& claims);

// May this stream reach that resource, by the snapshots? `not_found` when the resource is not
// served here, `forbidden` when it is another organization's or the node is not active,
// `unavailable` when the director's word has ended by `now`: a lease may then outlive the right to
// it. Pure.
Result<Resource> check_stream(const StreamClaims& claims, const Applied& applied, SystemTime now);

// Is the lease for the service that this node is for its organization? `forbidden` otherwise: what
// the mesh verified is the lease, and which of the node's services it is for. Pure.
Status check_service(const boost::json::object& claims, const StreamClaims& stream,
                     const MeshKeys& keys, const std::string& cluster_id);

class SessionBroker {
 public:
  struct Parts {
    Context& context;
    ControlClient& control;
    SessionEvents& events;
    Workloads& workloads;
    MeshListener& listener;
    std::function<AppliedPtr()> applied;
    // Brings D up to date now; true when it was reached.
    std::function<net::Task<bool>()> refresh;
    // The node's identities; null, or no function: it is no service.
    std::function<MeshHandPtr()> identities = {};
  };
  explicit SessionBroker(Parts parts);

  // From the listener: ends in accept() or refuse() of `id`.
  void on_stream(std::int64_t id, ipc::JsonPtr claims, std::string from, Fd stream);
  void on_mesh_stream(MeshStream stream);
  // A session worker of an earlier agent: taken over, or reported as lost.
  void adopt(InstanceRecord record);
  // The control plane wants this session ended. One that is not here is reported closed.
  net::Task<void> close(std::string session, std::string by);
  // All whom the control plane wants out of sessions that go on (session, user): they are dropped,
  // and not let in with a lease that is still good. Replaces what was wished before.
  void bar(std::set<std::pair<std::string, std::string>> who);
  void session_exited(const std::string& session, const ExitInfo& how);

  // A workload's stream to a resource of its own role and organization.
  static net::Task<Result<Fd>> open_for_workload(SessionBroker& self, std::string role,
                                                 std::string organization, std::string target,
                                                 net::milliseconds limit);

  std::vector<SessionReport> report() const;
  std::size_t size() const { return sessions_.size(); }
  int sessions_in(const std::string& zygote) const;
  // Its process is known here, so that it can be ended here.
  bool knows(const std::string& session) const;
  net::Task<void> stop_all();

 private:
  static net::Task<void> serve(SessionBroker& self, MeshStream stream);
  static net::Task<void> drop_later(SessionBroker& self, std::string session);
  Status check_mesh(const MeshStream& stream) const;
  net::Task<Status> route(ipc::JsonPtr claims, std::string from, Fd stream);
  // `begun`: there is a session, which tells itself how it ends.
  net::Task<Result<std::shared_ptr<Session>>> create(StreamClaims claims, Resource resource,
                                                     bool& begun);
  // Nothing of the session was made here and its lease is used up: it has failed. Not so when
  // another stream opens it.
  void tell_refused(const StreamClaims& claims, const Error& why);
  // As it is now; needs a snapshot.
  Room room_for(const std::string& organization) const;
  Session::Powers powers();
  static net::Task<Result<Fd>> dial(SessionBroker& self, std::string organization, std::string host,
                                    std::uint16_t port, net::milliseconds limit);
  static net::Task<Result<std::string>> secret(SessionBroker& self, std::string session,
                                               std::string ref);
  void ended(const std::string& session);

  Parts parts_;
  std::map<std::string, std::shared_ptr<Session>> sessions_;
  std::map<std::string, int> dialing_;  // connections being made, by organization
  // Its organization, by session: a second open of the same session waits for nothing.
  std::map<std::string, std::string> opening_;
  std::set<std::pair<std::string, std::string>> barred_;  // session, user
  bool stopping_ = false;
};

std::string session_instance_name(const std::string& session);

}  // namespace rap::agent
