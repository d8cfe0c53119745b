// A client's connection to one of several entries, whichever answers first (as RFC 8305 does it
// with addresses).
#pragma once

#include <string>
#include <vector>

#include "base/net/tcp.hpp"
#include "base/net/tls.hpp"

namespace rap::fabric {

struct EntryDial {
  std::vector<net::HostPort> entries;  // in order of preference; not empty
  net::TlsClientContext tls;
  std::string spiffe_id;  // of any entry
  net::TcpOptions tcp;
  // RFC 8305 section 5 recommends it: most entries have answered by then.
  net::milliseconds stagger{250};
  // TCP and TLS are two round trips; beyond it another entry is the better bet.
  net::milliseconds timeout{4'000};
};

struct DialledEntry {
  std::size_t index = 0;  // in EntryDial::entries
  std::unique_ptr<net::TlsStream> stream;
};

// Begins with the first, with the next one each `stagger` or as soon as one has failed; the others
// are cancelled once one has done its TLS handshake. Throws the NetError of the last that failed.
net::Task<DialledEntry> dial_entry(EntryDial dial);

}  // namespace rap::fabric
