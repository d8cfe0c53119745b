#include "base/bytes.hpp"

#include <gtest/gtest.h>

#include "base/little_endian.hpp"

namespace rap {
namespace {

TEST(Hex, RoundTrips) {
  const Bytes bytes{0x00, 0x7f, 0xff};
  EXPECT_EQ(to_hex(bytes), "007fff");
  EXPECT_EQ(from_hex("007FfF").value(), bytes);
}

TEST(Hex, RefusesOddLengthAndForeignCharacters) {
  for (const char* text : {"0", "0g", "  ", "0x"}) {
    EXPECT_EQ(from_hex(text).error().code, Errc::malformed) << text;
  }
}

TEST(Base64Url, RoundTripsEveryRemainder) {
  for (std::size_t n = 0; n < 70; ++n) {
    Bytes bytes;
    for (std::size_t i = 0; i < n; ++i) bytes.push_back(static_cast<std::uint8_t>(i * 37 + n));
    EXPECT_EQ(from_base64url(to_base64url(bytes)).value(), bytes) << n;
    EXPECT_EQ(from_base64(to_base64(bytes)).value(), bytes) << n;
  }
}

TEST(Base64Url, OneValueHasOneText) {
  for (const char* text : {"A", "AB", "AA==", "A A", "AA+/", "AAB"}) {
    EXPECT_FALSE(from_base64url(text).has_value()) << text;
  }
}

TEST(Base64, RefusesMissingOrExtraPadding) {
  for (const char* text : {"AA", "AAA", "A===", "=", "AA=A"}) {
    EXPECT_FALSE(from_base64(text).has_value()) << text;
  }
}

TEST(LittleEndian, IsTheLowestByteFirst) {
  std::uint8_t bytes[] = {0xee, 0, 0, 0, 0, 0, 0, 0, 0, 0xee};
  put_little_endian<std::uint64_t>(bytes + 1, 0x0102030405060708);
  EXPECT_EQ(to_hex(bytes), "ee0807060504030201ee");
  EXPECT_EQ(get_little_endian<std::uint64_t>(bytes + 1), 0x0102030405060708u);
  EXPECT_EQ(get_little_endian<std::uint32_t>(bytes + 1), 0x05060708u);
  EXPECT_EQ(get_little_endian<std::uint16_t>(bytes + 7), 0x0102u);
  put_little_endian<std::uint16_t>(bytes + 7, 0xfffe);  // its own bytes and no other
  EXPECT_EQ(to_hex(bytes), "ee080706050403feffee");
  put_little_endian<std::uint8_t>(bytes, 0x80);
  EXPECT_EQ(get_little_endian<std::uint8_t>(bytes), 0x80);
}

}  // namespace
}  // namespace rap
