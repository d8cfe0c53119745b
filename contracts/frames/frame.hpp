// One frame of a session stream: its header, the limits, and who may send what.
// docs/contracts/frames.md.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace rap::frames {

inline constexpr std::size_t kHeaderBytes = 40;
// A picture tile or a burst of terminal output fits; a hostile length cannot claim much memory.
inline constexpr std::size_t kPayloadBytesMax = std::size_t{1} << 20;
// Control messages are a handful of short texts.
inline constexpr std::size_t kControlBytesMax = std::size_t{16} << 10;

// The numbers of rap/ext/session.h (RAP_CH_*).
enum class Channel : std::uint16_t {
  control = 0,
  display = 1,
  input = 2,
  cursor = 3,
  clipboard = 4,
  audio_out = 5,
  audio_in = 6,
  file = 7,
  terminal = 8,
};
inline constexpr std::size_t kChannelCount = 9;

inline constexpr std::uint16_t kFlagDroppable = 1;
inline constexpr std::uint16_t kFlagKey = 2;
inline constexpr std::uint16_t kFlagEnd = 4;

inline constexpr std::uint32_t kEncodingOpaque = 0;
inline constexpr std::uint32_t kEncodingJson = 1;

struct FrameHeader {
  std::uint32_t length = 0;
  Channel channel = Channel::control;
  std::uint16_t flags = 0;
  std::uint64_t seq = 0;
  std::uint64_t time_us = 0;
  std::uint32_t encoding = 0;
  std::uint32_t arg0 = 0;
  std::uint32_t arg1 = 0;

  bool operator==(const FrameHeader&) const = default;
};

enum class Direction { to_hub, to_client };

// The one table of directions: hub and client both ask here.
bool may_flow(Channel channel, Direction direction);

using HeaderBytes = std::array<std::uint8_t, kHeaderBytes>;

// Does not allocate.
void encode_header(const FrameHeader& header, std::span<std::uint8_t, kHeaderBytes> out);

// Fails with `malformed` for an unknown channel, a channel that may not flow in `direction`, a
// reserved field that is not zero, and `too_large` for a length over the limit of the channel.
// Unknown flag bits are kept and mean nothing. Does not allocate on success.
Result<FrameHeader> decode_header(std::span<const std::uint8_t, kHeaderBytes> in,
                                  Direction direction);

// Header and payload in one buffer, for senders without a hot path. `header.length` is set here;
// the payload must be within the limit of its channel.
Bytes make_frame(FrameHeader header, ByteView payload);
// A control frame (encoding JSON).
Bytes make_control_frame(std::string_view json, std::uint64_t seq);

}  // namespace rap::frames
