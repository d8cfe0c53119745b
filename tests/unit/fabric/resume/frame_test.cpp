#include "fabric/resume/frame.hpp"

#include <gtest/gtest.h>

#include "fabric/resume/proof.hpp"

namespace rap::resume {
namespace {

std::array<std::uint8_t, kHeaderBytes> bytes_of(const FrameHeader& header) {
  std::array<std::uint8_t, kHeaderBytes> out;
  encode_header(header, out);
  return out;
}

Result<FrameHeader> decoded(const FrameHeader& header, Phase phase) {
  return decode_header(bytes_of(header), phase);
}

ByteView body_of(const Bytes& frame) {
  return ByteView(frame).subspan(kHeaderBytes);
}

FrameHeader header_of(const Bytes& frame, Phase phase) {
  return decode_header(ByteView(frame).first<kHeaderBytes>(), phase).value();
}

TEST(ResumeFrame, HeaderIsAsTheContractDrawsIt) {
  const auto bytes = bytes_of({FrameType::data, 0x1234, 0x0102030405060708});
  const std::array<std::uint8_t, 16> want = {16, 1, 0, 0, 0x34, 0x12, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1};
  EXPECT_EQ(bytes, want);
}

TEST(ResumeFrame, RoundTrips) {
  Hello hello;
  hello.random.fill(7);
  hello.window = kWindowMin;
  const Bytes hello_bytes = encode(hello);
  EXPECT_EQ(header_of(hello_bytes, Phase::opening).type, FrameType::hello);
  EXPECT_EQ(decode_hello(body_of(hello_bytes))->random, hello.random);
  EXPECT_EQ(decode_hello(body_of(hello_bytes))->window, kWindowMin);

  Welcome welcome;
  welcome.id.fill(1);
  welcome.random.fill(2);
  welcome.window = kWindowMax;
  const Bytes welcome_bytes = encode(welcome);
  EXPECT_EQ(header_of(welcome_bytes, Phase::answering).type, FrameType::welcome);
  EXPECT_EQ(decode_welcome(body_of(welcome_bytes))->id, welcome.id);
  EXPECT_EQ(decode_welcome(body_of(welcome_bytes))->random, welcome.random);
  EXPECT_EQ(decode_welcome(body_of(welcome_bytes))->window, kWindowMax);

  Resume resume;
  resume.epoch = 5;
  resume.id.fill(3);
  resume.next = kOffsetMax;
  resume.proof.fill(4);
  const Bytes resume_bytes = encode(resume);
  const auto resume_back =
      decode_resume(header_of(resume_bytes, Phase::opening), body_of(resume_bytes));
  EXPECT_EQ(resume_back->epoch, 5u);
  EXPECT_EQ(resume_back->id, resume.id);
  EXPECT_EQ(resume_back->next, kOffsetMax);
  EXPECT_EQ(resume_back->proof, resume.proof);

  Resumed resumed;
  resumed.epoch = 6;
  resumed.next = 77;
  resumed.proof.fill(9);
  const Bytes resumed_bytes = encode(resumed);
  const auto resumed_back =
      decode_resumed(header_of(resumed_bytes, Phase::answering), body_of(resumed_bytes));
  EXPECT_EQ(resumed_back->epoch, 6u);
  EXPECT_EQ(resumed_back->next, 77u);
  EXPECT_EQ(resumed_back->proof, resumed.proof);

  EXPECT_EQ(header_of(encode(Refusal::stale), Phase::answering).value, 5u);
}

TEST(ResumeFrame, HostileHeaders) {
  struct Case {
    const char* what;
    FrameHeader header;
    Phase phase;
    Errc code;
  };
  const auto type = [](int number) { return static_cast<FrameType>(number); };
  const Case cases[] = {
      {"type 0", {type(0), 0, 0}, Phase::streaming, Errc::malformed},
      {"type 6", {type(6), 0, 0}, Phase::opening, Errc::malformed},
      {"type 255", {type(255), 0, 0}, Phase::streaming, Errc::malformed},
      {"data before the hello", {FrameType::data, 1, 0}, Phase::opening, Errc::malformed},
      {"a welcome to an acceptor", {FrameType::welcome, 56, 0}, Phase::opening, Errc::malformed},
      {"a hello to a dialler", {FrameType::hello, 40, 0}, Phase::answering, Errc::malformed},
      {"a hello in the middle", {FrameType::hello, 40, 0}, Phase::streaming, Errc::malformed},
      {"no data", {FrameType::data, 0, 0}, Phase::streaming, Errc::too_large},
      {"too much data", {FrameType::data, 65'537, 0}, Phase::streaming, Errc::too_large},
      {"all data", {FrameType::data, 0xffffffff, 0}, Phase::streaming, Errc::too_large},
      {"data at the end of numbers",
       {FrameType::data, 1, ~0ull},
       Phase::streaming,
       Errc::malformed},
      {"an end at the end of numbers",
       {FrameType::end, 0, ~0ull},
       Phase::streaming,
       Errc::malformed},
      {"an acknowledgement beyond all",
       {FrameType::ack, 0, kOffsetMax + 1},
       Phase::streaming,
       Errc::malformed},
      {"an acknowledgement with a body", {FrameType::ack, 1, 0}, Phase::streaming, Errc::too_large},
      {"a ping with a body", {FrameType::ping, 16, 0}, Phase::streaming, Errc::too_large},
      {"close without a reason", {FrameType::close, 0, 0}, Phase::streaming, Errc::malformed},
      {"close for an unknown reason", {FrameType::close, 0, 4}, Phase::streaming, Errc::malformed},
      {"refused for an unknown reason",
       {FrameType::refused, 0, 6},
       Phase::answering,
       Errc::malformed},
      {"epoch 0", {FrameType::resume, 56, 0}, Phase::opening, Errc::malformed},
      {"a short resume", {FrameType::resume, 55, 1}, Phase::opening, Errc::too_large},
      {"a long hello", {FrameType::hello, 41, 0}, Phase::opening, Errc::too_large},
      {"a hello with a value", {FrameType::hello, 40, 1}, Phase::opening, Errc::malformed},
  };
  for (const Case& c : cases) {
    const auto header = decoded(c.header, c.phase);
    ASSERT_FALSE(header) << c.what;
    EXPECT_EQ(header.error().code, c.code) << c.what << ": " << header.error().text();
  }
}

TEST(ResumeFrame, HostileBits) {
  for (const std::size_t at : {2u, 3u}) {
    auto bytes = bytes_of({FrameType::ping, 0, 0});
    bytes[at] = 1;
    EXPECT_EQ(decode_header(bytes, Phase::streaming).error().code, Errc::malformed);
  }
  for (const int version : {0, 2, 255}) {
    auto bytes = bytes_of({FrameType::ping, 0, 0});
    bytes[1] = static_cast<std::uint8_t>(version);
    EXPECT_EQ(decode_header(bytes, Phase::streaming).error().code, Errc::unsupported);
  }
}

TEST(ResumeFrame, HostileBodies) {
  for (const std::uint32_t window : {0u, kWindowMin - 1, kWindowMax + 1, 0xffffffffu}) {
    Hello hello;
    hello.window = window;
    EXPECT_FALSE(decode_hello(body_of(encode(hello)))) << window;
    Welcome welcome;
    welcome.window = window;
    EXPECT_FALSE(decode_welcome(body_of(encode(welcome)))) << window;
  }
  Hello hello;
  hello.window = kWindowMin;
  Bytes frame = encode(hello);
  frame.back() = 1;  // reserved
  EXPECT_FALSE(decode_hello(body_of(frame)));
  Resume resume;
  resume.epoch = 1;
  resume.next = kOffsetMax + 1;
  const Bytes bytes = encode(resume);
  EXPECT_FALSE(decode_resume(header_of(bytes, Phase::opening), body_of(bytes)));
}

TEST(ResumeProof, EveryPartCounts) {
  StreamId id;
  id.fill(1);
  Random a;
  a.fill(2);
  Random b;
  b.fill(3);
  const Secret key = derive_key(id, a, b);
  const Proof proof = make_proof(key, End::dialler, id, 4, 5);
  EXPECT_TRUE(proof_holds(key, End::dialler, id, 4, 5, proof));
  EXPECT_FALSE(proof_holds(key, End::acceptor, id, 4, 5, proof));
  EXPECT_FALSE(proof_holds(key, End::dialler, id, 5, 5, proof));
  EXPECT_FALSE(proof_holds(key, End::dialler, id, 4, 6, proof));
  StreamId other = id;
  other[15] = 9;
  EXPECT_FALSE(proof_holds(key, End::dialler, other, 4, 5, proof));
  EXPECT_FALSE(proof_holds(derive_key(id, b, a), End::dialler, id, 4, 5, proof));
  EXPECT_FALSE(proof_holds(derive_key(other, a, b), End::dialler, id, 4, 5, proof));
}

// Computed with Python's hmac: HKDF (RFC 5869) by hand, so that the format stays what it is.
TEST(ResumeProof, IsTheOneOfTheContract) {
  StreamId id;
  id.fill(1);
  Random a;
  a.fill(2);
  Random b;
  b.fill(3);
  const Secret key = derive_key(id, a, b);
  EXPECT_EQ(to_hex(key.bytes()),
            "cde8228c6b3c6a4c9610869741ce8b3f01f1b37e4bf691b631b9d37f800fe4ec");
  EXPECT_EQ(to_hex(make_proof(key, End::acceptor, id, 4, 5)),
            "0e5d4af9220def8267828ff1dfaced9b407c7de9c8d227860d4db7697fac5312");
}

}  // namespace
}  // namespace rap::resume
