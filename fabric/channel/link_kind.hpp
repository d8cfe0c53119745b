// Which of the connections between two nodes one is. Said by ALPN, so that both know it before the
// first frame.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/routing/types.hpp"

namespace rap::fabric {

// Who asks for streams on it. reverse: the one that was dialled, so a node behind NAT is reached
// over what it has dialled itself.
enum class Flow : std::uint8_t { forward, reverse };

struct LinkKind {
  routing::ChannelClass channel_class = routing::ChannelClass::interactive;
  Flow flow = Flow::forward;
  bool operator==(const LinkKind&) const = default;
};

std::string alpn(LinkKind kind);
std::optional<LinkKind> kind_of_alpn(std::string_view alpn);
// All four, for a server.
std::vector<std::string> mesh_alpns();

// The authority that asks the other end to dial a reverse connection for bulk.
inline constexpr std::string_view kAskReverseBulk = "reverse-bulk.rap:1";

}  // namespace rap::fabric
