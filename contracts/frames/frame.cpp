#include "contracts/frames/frame.hpp"

#include <cassert>
#include <cstring>

#include "base/little_endian.hpp"

namespace rap::frames {
namespace {

enum Flow : std::uint8_t { kToClient = 1, kToHub = 2, kBoth = 3 };

// Indexed by channel number.
constexpr std::array<Flow, kChannelCount> kFlows = {
    kBoth,      // control
    kToClient,  // display
    kToHub,     // input
    kToClient,  // cursor
    kBoth,      // clipboard
    kToClient,  // audio out
    kToHub,     // audio in
    kBoth,      // file
    kToClient,  // terminal
};

std::size_t payload_limit(Channel channel) {
  return channel == Channel::control ? kControlBytesMax : kPayloadBytesMax;
}

}  // namespace

bool may_flow(Channel channel, Direction direction) {
  const auto index = static_cast<std::size_t>(channel);
  if (index >= kFlows.size()) return false;
  return (kFlows[index] & (direction == Direction::to_hub ? kToHub : kToClient)) != 0;
}

void encode_header(const FrameHeader& header, std::span<std::uint8_t, kHeaderBytes> out) {
  std::uint8_t* at = out.data();
  put_little_endian<std::uint32_t>(at, header.length);
  put_little_endian<std::uint16_t>(at + 4, static_cast<std::uint16_t>(header.channel));
  put_little_endian<std::uint16_t>(at + 6, header.flags);
  put_little_endian<std::uint64_t>(at + 8, header.seq);
  put_little_endian<std::uint64_t>(at + 16, header.time_us);
  put_little_endian<std::uint32_t>(at + 24, header.encoding);
  put_little_endian<std::uint32_t>(at + 28, header.arg0);
  put_little_endian<std::uint32_t>(at + 32, header.arg1);
  put_little_endian<std::uint32_t>(at + 36, 0);
}

Result<FrameHeader> decode_header(std::span<const std::uint8_t, kHeaderBytes> in,
                                  Direction direction) {
  const std::uint8_t* at = in.data();
  const auto channel = get_little_endian<std::uint16_t>(at + 4);
  if (channel >= kChannelCount) {
    return fail(Errc::malformed, "frame on unknown channel " + std::to_string(channel));
  }
  FrameHeader header;
  header.channel = static_cast<Channel>(channel);
  if (!may_flow(header.channel, direction)) {
    return fail(Errc::malformed,
                "frame on channel " + std::to_string(channel) + " in the wrong direction");
  }
  if (get_little_endian<std::uint32_t>(at + 36) != 0) {
    return fail(Errc::malformed, "frame with a reserved field that is not zero");
  }
  header.length = get_little_endian<std::uint32_t>(at);
  if (header.length > payload_limit(header.channel)) {
    return fail(Errc::too_large, "frame of " + std::to_string(header.length) + " bytes, at most " +
                                     std::to_string(payload_limit(header.channel)));
  }
  header.flags = get_little_endian<std::uint16_t>(at + 6);
  header.seq = get_little_endian<std::uint64_t>(at + 8);
  header.time_us = get_little_endian<std::uint64_t>(at + 16);
  header.encoding = get_little_endian<std::uint32_t>(at + 24);
  header.arg0 = get_little_endian<std::uint32_t>(at + 28);
  header.arg1 = get_little_endian<std::uint32_t>(at + 32);
  return header;
}

Bytes make_frame(FrameHeader header, ByteView payload) {
  assert(payload.size() <= payload_limit(header.channel));
  header.length = static_cast<std::uint32_t>(payload.size());
  Bytes out(kHeaderBytes + payload.size());
  encode_header(header, std::span(out).first<kHeaderBytes>());
  if (!payload.empty()) std::memcpy(out.data() + kHeaderBytes, payload.data(), payload.size());
  return out;
}

Bytes make_control_frame(std::string_view json, std::uint64_t seq) {
  FrameHeader header;
  header.seq = seq;
  header.encoding = kEncodingJson;
  return make_frame(header, as_bytes(json));
}

}  // namespace rap::frames
