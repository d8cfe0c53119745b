// The stream of a session, over whichever way the control plane named.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "base/net/byte_stream.hpp"
#include "base/net/x509.hpp"
#include "cli/session_access.hpp"
#include "fabric/resume/clock.hpp"

namespace rap::cli {

// Outlives the io_context that the stream runs on.
struct SessionClocks {
  RealClock wall;
  resume::RealResumeClock resume;
};

struct SessionDial {
  SessionAccess access;
  net::TlsIdentity identity;    // the one that the leases name
  fabric::RenewCarry renew;     // of a session over the mesh
  fabric::OnProgress progress;  // the same
};

// Fails as open_mesh_session() and open_session_stream(); the stream belongs on the executor it
// was opened on.
net::Task<Result<net::ByteStreamPtr>> open_stream(SessionDial dial, const SessionClocks& clocks);

// Where it goes, for people: "entry a.example:443, b.example:443", "node 192.0.2.1:7444".
std::string place_of(const SessionAccess& access);

}  // namespace rap::cli
