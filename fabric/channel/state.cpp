#include "fabric/channel/state.hpp"

namespace rap::fabric {

std::optional<LinkState> after(LinkState state, LinkEvent event) {
  struct Row {
    LinkState from;
    LinkEvent event;
    LinkState to;
  };
  static constexpr Row kTable[] = {
      {LinkState::dial, LinkEvent::connected, LinkState::handshake},
      {LinkState::handshake, LinkEvent::secured, LinkState::authorize},
      {LinkState::authorize, LinkEvent::authorized, LinkState::active},
      {LinkState::active, LinkEvent::drain, LinkState::draining},
      {LinkState::draining, LinkEvent::drain, LinkState::draining},
      {LinkState::dial, LinkEvent::failed, LinkState::closed},
      {LinkState::handshake, LinkEvent::failed, LinkState::closed},
      {LinkState::authorize, LinkEvent::failed, LinkState::closed},
      {LinkState::active, LinkEvent::failed, LinkState::closed},
      {LinkState::draining, LinkEvent::failed, LinkState::closed},
      {LinkState::authorize, LinkEvent::revoked, LinkState::closed},
      {LinkState::active, LinkEvent::revoked, LinkState::closed},
      {LinkState::draining, LinkEvent::revoked, LinkState::closed},
  };
  for (const Row& row : kTable) {
    if (row.from == state && row.event == event) return row.to;
  }
  return std::nullopt;
}

std::string_view name(LinkState state) {
  switch (state) {
    case LinkState::dial:
      return "dial";
    case LinkState::handshake:
      return "handshake";
    case LinkState::authorize:
      return "authorize";
    case LinkState::active:
      return "active";
    case LinkState::draining:
      return "draining";
    case LinkState::closed:
      return "closed";
  }
  return "closed";
}

}  // namespace rap::fabric
