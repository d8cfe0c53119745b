// Tracing ways through the mesh: the hops that a stream takes from each entry, and how long bytes
// take to its end and back.
#pragma once

#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/net/x509.hpp"
#include "fabric/ends/request.hpp"

namespace rap::cli {

// What POST .../mesh-trace answers.
struct TraceAccess {
  std::vector<std::string> entries;  // "host:port"
  fabric::MeshTarget target;
  std::string carry;
  std::string cluster_ca_pem;
};
// Pure. `invalid` or `malformed` names the member.
Result<TraceAccess> parse_trace_access(const boost::json::value& answer);

struct TraceWish {
  TraceAccess access;
  std::string cluster_id;
  net::TlsIdentity identity;  // the one that the carry lease names
  std::size_t echoes = 0;
};

struct EntryTrace {
  std::string entry;
  std::optional<Error> failed;  // then what was not reached is empty
  double connected_ms = 0;      // TCP and TLS to the entry
  double opened_ms = 0;         // the stream, as the client saw it
  std::vector<fabric::HopTime> hops;
  std::vector<double> echo_ms;  // round trips to the end, sorted
};

// One stream over entry `index`, to synthetic.echo at the target. Failures are in what it returns;
// throws `cancelled` only. At most 15 s, and 5 s for each echo.
net::Task<EntryTrace> trace_entry(TraceWish wish, std::size_t index);

// Round trip of the link that leads to hop `index`: what its nodes' figures differ by, for the
// first what the client saw. Never below 0: clocks are read on different machines.
double link_ms(const EntryTrace& trace, std::size_t index);

// Of sorted figures, 0 < `part` <= 1; the smallest that so many do not exceed. Not empty.
double quantile(const std::vector<double>& sorted, double part);

}  // namespace rap::cli
