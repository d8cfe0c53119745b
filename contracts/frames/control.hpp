// The control messages of a session stream (channel 0) as values. docs/contracts/frames.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.hpp"

namespace rap::frames {

inline constexpr int kProtocolVersion = 1;
// Terminals larger than this do not exist; a screen of that size is still under 64 MB.
inline constexpr std::uint32_t kSizeMax = 1000;
inline constexpr std::size_t kTermCharactersMax = 32;

// Client to hub.
struct Hello {
  int version = kProtocolVersion;
  std::uint32_t cols = 80;  // 1..kSizeMax, also rows
  std::uint32_t rows = 24;
  std::string term;  // printable ASCII

  bool operator==(const Hello&) const = default;
};
struct Resize {
  std::uint32_t cols = 80;
  std::uint32_t rows = 24;

  bool operator==(const Resize&) const = default;
};
struct Detach {
  bool operator==(const Detach&) const = default;
};
struct Ping {
  std::int64_t id = 0;

  bool operator==(const Ping&) const = default;
};
// For a client that drew over the screen: a key frame for it alone. Only to a hub whose welcome
// says that it knows the message.
struct Repaint {
  bool operator==(const Repaint&) const = default;
};
using ClientMessage = std::variant<Hello, Resize, Detach, Ping, Repaint>;

// Hub to client. `at` is RFC 3339.
struct Welcome {
  std::string session_id;
  std::string attach_id;
  std::string mode;   // "control" or "view"
  std::string state;  // of the session
  std::optional<std::string> controller;
  std::uint32_t cols = 80;
  std::uint32_t rows = 24;
  bool repaints = false;  // the hub knows Repaint

  bool operator==(const Welcome&) const = default;
};
struct ControllerChanged {
  std::optional<std::string> name;  // none: nobody controls now
  std::string at;

  bool operator==(const ControllerChanged&) const = default;
};
struct TakenOver {
  std::string by;
  std::string at;
  std::string from = {};  // address as the node sees it; empty: not known

  bool operator==(const TakenOver&) const = default;
};
struct StateChanged {
  std::string state;
  std::string detail;

  bool operator==(const StateChanged&) const = default;
};
struct Closed {
  std::string reason;  // exit, terminated, remote_lost, failed
  std::optional<std::int64_t> exit_status;
  std::string detail;

  bool operator==(const Closed&) const = default;
};
struct ErrorMessage {
  std::string code;
  std::string detail;

  bool operator==(const ErrorMessage&) const = default;
};
struct Pong {
  std::int64_t id = 0;

  bool operator==(const Pong&) const = default;
};
using HubMessage =
    std::variant<Welcome, ControllerChanged, TakenOver, StateChanged, Closed, ErrorMessage, Pong>;

// Over kControlBytesMax never: long texts are cut at 1 KiB.
std::string to_json(const ClientMessage& message);
std::string to_json(const HubMessage& message);

// `malformed` for bytes that are no JSON object, `invalid` for a member that is missing, of another
// type or out of range, `unsupported` for an unknown `type` (the hub ends the attachment; a client
// ignores the message, so that a newer hub may say more). Unknown members are ignored.
Result<ClientMessage> parse_client_message(std::string_view json);
Result<HubMessage> parse_hub_message(std::string_view json);

}  // namespace rap::frames
