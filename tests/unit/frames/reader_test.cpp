#include "contracts/frames/reader.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace rap::frames {
namespace {

Bytes terminal(std::uint64_t seq, std::string_view text) {
  FrameHeader header;
  header.channel = Channel::terminal;
  header.seq = seq;
  return make_frame(header, as_bytes(text));
}

Bytes input(std::uint64_t seq, std::string_view text) {
  FrameHeader header;
  header.channel = Channel::input;
  header.seq = seq;
  return make_frame(header, as_bytes(text));
}

Bytes join(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

std::string read_all(FrameReader& reader) {
  std::string out;
  while (true) {
    auto frame = reader.next();
    if (!frame) return out + "!" + std::string(name(frame.error().code));
    if (!*frame) return out;
    out += std::string(as_text((*frame)->payload)) + ";";
  }
}

TEST(FrameReader, CutsAStreamWhereverTheReadsFall) {
  const Bytes stream = join({terminal(1, "one"), terminal(2, ""), terminal(3, "three")});
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    FrameReader reader(Direction::to_client);
    std::string seen;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      reader.feed(ByteView(stream).subspan(at, std::min(step, stream.size() - at)));
      seen += read_all(reader);
    }
    EXPECT_EQ(seen, "one;;three;") << step;
    EXPECT_EQ(reader.pending(), 0u);
  }
}

TEST(FrameReader, GivesRoomForTheWholeFrameInProgress) {
  const Bytes frame = terminal(1, std::string(kPayloadBytesMax, 'x'));
  FrameReader reader(Direction::to_client);
  std::size_t at = 0;
  int reads = 0;
  while (at < frame.size()) {
    auto room = reader.prepare();
    ASSERT_GE(room.size(), std::min<std::size_t>(16 << 10, frame.size() - at));
    const std::size_t n = std::min(room.size(), frame.size() - at);
    std::memcpy(room.data(), frame.data() + at, n);
    reader.commit(n);
    at += n;
    ++reads;
    auto next = reader.next();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->has_value(), at == frame.size());
  }
  EXPECT_LE(reads, 3);
}

TEST(FrameReader, AnErrorIsFinal) {
  FrameReader reader(Direction::to_hub);
  reader.feed(join({input(1, "a"), terminal(1, "bad")}));
  EXPECT_EQ(read_all(reader), "a;!malformed");
  reader.feed(input(2, "b"));
  EXPECT_EQ(read_all(reader), "!malformed");
}

TEST(FrameReader, RefusesGarbageWithoutWaitingForMore) {
  FrameReader reader(Direction::to_hub);
  reader.feed(as_bytes("GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: x\r\n\r\n"));
  EXPECT_EQ(read_all(reader), "!malformed");
}

TEST(FrameReader, ChecksSequenceNumbersPerChannel) {
  {
    FrameReader reader(Direction::to_hub);
    reader.feed(join({input(1, "a"), make_control_frame("{}", 1), input(2, "b")}));
    EXPECT_EQ(read_all(reader), "a;{};b;");
  }
  struct {
    Direction direction;
    Bytes stream;
    std::string expected;
  } table[] = {
      {Direction::to_hub, join({input(1, "a"), input(3, "b")}), "a;!malformed"},
      {Direction::to_hub, join({input(1, "a"), input(1, "b")}), "a;!malformed"},
      {Direction::to_hub, join({input(0, "a")}), "!malformed"},
      {Direction::to_client, join({terminal(1, "a"), terminal(5, "b")}), "a;b;"},
      {Direction::to_client, join({terminal(5, "a"), terminal(5, "b")}), "a;!malformed"},
      {Direction::to_client, join({make_control_frame("{}", 2)}), "!malformed"},
  };
  for (auto& row : table) {
    FrameReader reader(row.direction);
    reader.feed(row.stream);
    EXPECT_EQ(read_all(reader), row.expected);
  }
}

}  // namespace
}  // namespace rap::frames
