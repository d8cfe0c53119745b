// The client's end of a session over the mesh: an entry, the service behind it, and a stream of
// session frames that outlives both the way and the entry. docs/contracts/mesh-streams.md.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/net/tcp.hpp"
#include "base/net/x509.hpp"
#include "fabric/resume/stream.hpp"
#include "fabric/routing/types.hpp"

namespace rap::fabric {

struct CarryGrant {
  std::string lease;
  SystemTime expires_at{};
};
// Asks the control plane; `unavailable` and the like: it is asked again later. Owns what it uses:
// while what was written last is still delivered it may run after the stream is gone.
using RenewCarry = std::function<net::Task<Result<CarryGrant>>()>;

enum class SessionProgress {
  reconnecting,  // a pause is longer than a second
  connected,     // it is over; only after `reconnecting`
};
using OnProgress = std::function<void(SessionProgress, net::milliseconds pause)>;

// As ResumeLimits, but one try may take as long as an entry may look for a way (5 s), with the
// handshakes around it.
resume::ResumeLimits client_resume_limits();

struct MeshSessionOptions {
  std::vector<std::string> entries;  // "host:port", in order of preference; at most 16
  std::string cluster_id;
  std::string cluster_ca_pem;
  net::TlsIdentity identity;  // the one whose sha256 both leases name
  std::string service;        // svc_.., which the session lease is for
  CarryGrant carry;
  RenewCarry renew;   // may be empty
  std::string lease;  // of the session; used once, at the opening
  routing::ChannelClass channel_class = routing::ChannelClass::interactive;
  OnProgress progress;                // may be empty; called on the executor
  net::milliseconds timeout{20'000};  // of the opening, the service's answer included
  resume::ResumeLimits resume = client_resume_limits();
  net::TcpOptions tcp;
};

// Opens the session. When the way dies it is replaced within ResumeLimits::resume_window: over the
// same entry first when it answers, over the next one else; the carry lease is renewed when a
// quarter of its life, or an hour, is left. Fails with what the service answered, with the entry's
// refusal, or with why none could be reached: `unavailable`, `timeout`, `expired`, `forbidden`,
// `mismatch`, `invalid` (options).
// The stream's bytes are session frames. Use and destroy it on the executor it was opened on;
// `clock` and `resume_clock` must outlive it by the resume window.
net::Task<Result<net::ByteStreamPtr>> open_mesh_session(MeshSessionOptions options,
                                                        const Clock& clock,
                                                        const resume::ResumeClock& resume_clock);

}  // namespace rap::fabric
