// The service's end of mesh streams: TLS inside, resumption, the session lease; what is left is
// handed up as (claims, stream). docs/contracts/mesh-streams.md, "Inside".
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "base/net/task_group.hpp"
#include "base/net/x509.hpp"
#include "fabric/lease.hpp"
#include "fabric/resume/registry.hpp"

namespace rap::fabric {

struct ServiceEndLimits {
  // Organizations one node works for; each is a certificate and a key, some 20 KiB.
  std::size_t services_max = 1'024;
  // Transports that have not shown a lease or a RESUME yet. When a relay dies every stream of an
  // acceptor comes back at once, so one service may have as many as it may have streams; four
  // services together fill the rest, so one organization takes a quarter at most.
  std::size_t pending_max = 2'048;
  std::size_t pending_of_service_max = 512;
  // Of all services: 2 GiB of windows if everybody is hostile.
  std::size_t streams_max = 2'048;
  // The way was just set up: TLS is one round trip more.
  net::milliseconds handshake_timeout{5'000};
  // One replaced path between the opening and the line must fit.
  net::milliseconds lease_timeout{10'000};
};

struct ServiceConfig {
  std::string service;          // svc_..
  std::string organization_id;  // whose streams end here
  net::TlsIdentity identity;    // of spiffe://<cluster>/service/<svc>
};

struct ServiceEndCounts {
  std::size_t services = 0;
  std::size_t pending = 0;
  std::size_t streams = 0;
  std::uint64_t opened = 0;
  std::uint64_t resumed = 0;
  std::map<std::string, std::uint64_t> refused;  // by code
};

// A stream whose lease holds. Answer once; destroyed unanswered the stream is closed.
class IncomingSession {
 public:
  virtual ~IncomingSession() = default;
  virtual const LeaseClaims& claims() const = 0;
  virtual const std::string& service() const = 0;
  // {"ok":true}; the stream carries session frames from now on. It outlives the ServiceEnd; a
  // closed session, organization or service closes it.
  virtual net::Task<net::ByteStreamPtr> accept() = 0;
  // The client reads the code and the detail.
  virtual net::Task<void> refuse(Error error) = 0;
};

// Runs in the end's task group; may take as long as a session needs to start.
using SessionHandler = std::function<net::Task<void>(std::unique_ptr<IncomingSession>)>;

// One executor. `clock` and `resume_clock` must outlive it and its streams.
class ServiceEnd {
 public:
  struct Setup {
    std::string cluster_id;
    const Clock* clock = nullptr;
    const resume::ResumeClock* resume_clock = nullptr;
    SessionHandler handler;
    ServiceEndLimits limits;
    resume::ResumeLimits resume;
    resume::RegistryLimits registry;  // of each service
  };
  ServiceEnd(net::asio::any_io_executor executor, Setup setup);
  ~ServiceEnd();
  ServiceEnd(const ServiceEnd&) = delete;
  ServiceEnd& operator=(const ServiceEnd&) = delete;

  // A service from now on, or its next certificate: streams go on. Fails with `invalid` (no
  // service id, organization), `mismatch` (the certificate is another's, the organization changed),
  // `exhausted`, `malformed`; then nothing has changed.
  Status set_service(ServiceConfig config);
  // Ends its streams.
  void remove_service(std::string_view service);
  // The keys that sign session leases. `invalid`, then the old ones stay.
  Status set_lease_keys(const std::vector<LeaseKey>& keys);

  // Whether a transport for `service`, of a carry lease of `organization`, is worth an answer 200:
  // `not_found`, `mismatch` (organization), `exhausted`.
  Status admits(std::string_view service, std::string_view organization) const;
  // Takes a transport over, after 200. What comes of it is the handler's, or counted.
  void serve(net::ByteStreamPtr transport, std::string service);

  // End the streams of a session that is over, of an organization that was disabled.
  void close_session(std::string_view session_id);
  void close_organization(std::string_view organization_id);

  ServiceEndCounts counts() const;
  // No new streams; waits for handlers, at most `grace`. Streams that were handed up stay.
  net::Task<void> drain(net::milliseconds grace);

  struct State;

 private:
  const net::asio::any_io_executor executor_;
  std::shared_ptr<State> state_;  // shared with tasks and streams
  net::TaskGroup tasks_;
};

}  // namespace rap::fabric
