// Private to fabric/ends: the ways of one client's session, one after another.
#pragma once

#include <optional>

#include "base/net/event.hpp"
#include "base/net/tls.hpp"
#include "fabric/ends/request.hpp"
#include "fabric/ends/session_client.hpp"

namespace rap::fabric {

// What the ways of a session share: held by its resumable stream, which asks for them, and by what
// its user has.
struct SessionWays {
  SessionWays(MeshSessionOptions o, std::vector<net::HostPort> e, net::TlsClientContext to_entry,
              net::TlsClientContext to_service, const Clock& c,
              const net::asio::any_io_executor& executor);

  // `invalid`, `malformed`, `mismatch`.
  static Result<std::shared_ptr<SessionWays>> create(MeshSessionOptions options, const Clock& clock,
                                                     const net::asio::any_io_executor& executor);

  const MeshSessionOptions options;
  const std::vector<net::HostPort> entries;
  const net::TlsClientContext entry_tls;
  const net::TlsClientContext inner_tls;
  const Clock& clock;

  CarryGrant carry;
  SystemTime renew_at{};
  bool renewing = false;
  std::size_t first = 0;  // of `entries`: who is asked first
  bool opened = false;    // what comes from now on replaces a way
  net::Event lost;        // set when another way is asked for, until somebody resets it
};

// The next transport to the service, its certificate checked. Throws NetError.
net::Task<net::ByteStreamPtr> open_way(std::shared_ptr<SessionWays> ways);

// Asks for the next carry lease. A failure only moves the time of the next try.
net::Task<void> renew_carry(std::shared_ptr<SessionWays> ways);

}  // namespace rap::fabric
