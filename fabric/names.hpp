// Names on the wire between a client and a node; docs/contracts/ipc.md, "Stream of a client".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rap::fabric {

inline constexpr std::string_view kLeaseHeader = "rap-lease";
inline constexpr std::string_view kErrorHeader = "rap-error";
inline constexpr std::string_view kDetailHeader = "rap-detail";

// TCP_NOTSENT_LOWAT: what the kernel queues behind what is on the wire. With 128 KiB a keystroke
// beside bulk waits 0.3 ms instead of 3.
inline constexpr int kNotSentLowWater = 128 * 1024;

// "<session id>.session.rap.internal:1"
std::string session_authority(std::string_view session_id);
// The session id of such an authority; nullopt for anything else.
std::optional<std::string> session_of_authority(std::string_view authority);

// For a header: line breaks and other control characters become '?', 300 bytes at most.
std::string header_safe(std::string_view text);

}  // namespace rap::fabric
