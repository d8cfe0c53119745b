#include "contracts/frames/frame.hpp"

#include <gtest/gtest.h>

namespace rap::frames {
namespace {

FrameHeader sample() {
  FrameHeader header;
  header.length = 0x00012345;
  header.channel = Channel::terminal;
  header.flags = kFlagKey | kFlagEnd;
  header.seq = 0x1122334455667788;
  header.time_us = 0x8877665544332211;
  header.encoding = 7;
  header.arg0 = 0xaabbccdd;
  header.arg1 = 0x01020304;
  return header;
}

TEST(Frame, IsLittleEndianAtTheWrittenOffsets) {
  HeaderBytes bytes;
  encode_header(sample(), bytes);
  EXPECT_EQ(to_hex(bytes),
            "45230100080006008877665544332211112233445566778807000000ddccbbaa0403020100000000");
}

TEST(Frame, RoundTrips) {
  HeaderBytes bytes;
  encode_header(sample(), bytes);
  auto back = decode_header(bytes, Direction::to_client);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(*back, sample());
}

TEST(Frame, DirectionsAreThoseOfTheContract) {
  // By channel number: control, display, input, cursor, clipboard, audio out, audio in, file,
  // terminal.
  const std::string_view to_hub = "101010110";
  const std::string_view to_client = "110111011";
  for (std::size_t i = 0; i < kChannelCount; ++i) {
    const auto channel = static_cast<Channel>(i);
    EXPECT_EQ(may_flow(channel, Direction::to_hub), to_hub[i] == '1') << i;
    EXPECT_EQ(may_flow(channel, Direction::to_client), to_client[i] == '1') << i;
  }
  EXPECT_FALSE(may_flow(static_cast<Channel>(9), Direction::to_hub));
  EXPECT_FALSE(may_flow(static_cast<Channel>(0xffff), Direction::to_client));
}

struct Hostile {
  const char* what;
  std::size_t offset;
  std::uint8_t value;
  Direction direction;
  Errc code;
};

TEST(Frame, RefusesHostileHeaders) {
  const Hostile table[] = {
      {"channel 9", 4, 9, Direction::to_client, Errc::malformed},
      {"channel 0x8008", 5, 0x80, Direction::to_client, Errc::malformed},
      {"terminal towards the hub", 4, 8, Direction::to_hub, Errc::malformed},
      {"input towards the client", 4, 2, Direction::to_client, Errc::malformed},
      {"reserved, first byte", 36, 1, Direction::to_client, Errc::malformed},
      {"reserved, last byte", 39, 1, Direction::to_client, Errc::malformed},
      {"length 16 MB", 3, 1, Direction::to_client, Errc::too_large},
      {"length 1 MiB + 0x2345", 2, 0x10, Direction::to_client, Errc::too_large},
      {"control over 16 KiB", 4, 0, Direction::to_client, Errc::too_large},
  };
  for (const Hostile& bad : table) {
    HeaderBytes bytes;
    encode_header(sample(), bytes);
    bytes[bad.offset] = bad.value;
    auto header = decode_header(bytes, bad.direction);
    ASSERT_FALSE(header) << bad.what;
    EXPECT_EQ(header.error().code, bad.code) << bad.what;
  }
}

TEST(Frame, TakesTheLargestPayloadAndNotOneMore) {
  FrameHeader header = sample();
  HeaderBytes bytes;
  header.length = kPayloadBytesMax;
  encode_header(header, bytes);
  EXPECT_TRUE(decode_header(bytes, Direction::to_client));
  header.length = kPayloadBytesMax + 1;
  encode_header(header, bytes);
  EXPECT_FALSE(decode_header(bytes, Direction::to_client));
}

TEST(Frame, UnknownFlagBitsMeanNothing) {
  FrameHeader header = sample();
  header.flags = 0xffff;
  HeaderBytes bytes;
  encode_header(header, bytes);
  EXPECT_TRUE(decode_header(bytes, Direction::to_client));
}

}  // namespace
}  // namespace rap::frames
