// The life of one connection to a peer. Pure; docs/fabric-channel.md draws it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace rap::fabric {

enum class LinkState : std::uint8_t { dial, handshake, authorize, active, draining, closed };

enum class LinkEvent : std::uint8_t {
  connected,   // TCP is there
  secured,     // TLS is there, and its protocol is one of ours
  authorized,  // certificate, identity and key are those of a peer of the directory
  drain,       // we or they say goodbye; streams go on
  failed,      // it could not be reached, was refused, broke a rule, was silent, or was cut
  revoked,     // not in the directory any more, or with another key, or expired
};

// What follows; nothing: that cannot happen in this state.
std::optional<LinkState> after(LinkState state, LinkEvent event);

std::string_view name(LinkState state);

}  // namespace rap::fabric
