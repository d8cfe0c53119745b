// The frames of a resumable stream: docs/contracts/resume.md. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace rap::resume {

inline constexpr std::size_t kHeaderBytes = 16;
inline constexpr std::uint8_t kVersion = 1;
// One batch of TLS records; a keystroke waits behind no more.
inline constexpr std::size_t kDataBytesMax = 64 * 1024;
inline constexpr std::uint64_t kOffsetMax = std::uint64_t{1} << 63;
// Below, a quarter of the window is less than a round trip's keystrokes and their headers; above,
// one stream may claim more memory than a session is worth.
inline constexpr std::uint32_t kWindowMin = 16 * 1024;
inline constexpr std::uint32_t kWindowMax = 16 * 1024 * 1024;

enum class FrameType : std::uint8_t {
  hello = 1,
  welcome = 2,
  resume = 3,
  resumed = 4,
  refused = 5,
  data = 16,
  ack = 17,
  end = 18,
  close = 19,
  ping = 20,
  pong = 21,
};

// What a frame may be depends on who reads it and when.
enum class Phase {
  opening,    // acceptor, first frame of a transport: HELLO or RESUME
  answering,  // dialler, first frame of a transport: WELCOME, RESUMED or REFUSED
  streaming,  // DATA to PONG
};

enum class Refusal : std::uint8_t {
  malformed = 1,
  version = 2,
  full = 3,
  unknown = 4,
  stale = 5,
};
enum class CloseReason : std::uint8_t { user = 1, protocol = 2, expired = 3 };

struct FrameHeader {
  FrameType type = FrameType::data;
  std::uint32_t length = 0;
  std::uint64_t value = 0;

  bool operator==(const FrameHeader&) const = default;
};

using StreamId = std::array<std::uint8_t, 16>;
using Random = std::array<std::uint8_t, 32>;
using Proof = std::array<std::uint8_t, 32>;

struct Hello {
  Random random{};
  std::uint32_t window = 0;
};
struct Welcome {
  StreamId id{};
  Random random{};
  std::uint32_t window = 0;
};
struct Resume {
  std::uint64_t epoch = 0;
  StreamId id{};
  std::uint64_t next = 0;
  Proof proof{};
};
struct Resumed {
  std::uint64_t epoch = 0;
  std::uint64_t next = 0;
  Proof proof{};
};

inline constexpr std::size_t kHelloBytes = 40;
inline constexpr std::size_t kWelcomeBytes = 56;
inline constexpr std::size_t kResumeBytes = 56;
inline constexpr std::size_t kResumedBytes = 40;
inline constexpr std::size_t kBodyBytesMax = 56;  // of every frame but DATA

// Does not allocate.
void encode_header(const FrameHeader& header, std::span<std::uint8_t, kHeaderBytes> out);

// Fails with `unsupported` (version), `malformed` (unknown type, not of this phase, reserved bits,
// a value or reason that its type does not have), `too_large` (length, offset). Does not allocate
// on success.
Result<FrameHeader> decode_header(std::span<const std::uint8_t, kHeaderBytes> in, Phase phase);

// Header and body.
Bytes encode(const Hello& frame);
Bytes encode(const Welcome& frame);
Bytes encode(const Resume& frame);
Bytes encode(const Resumed& frame);
Bytes encode(Refusal reason);

// `header` is of that type, from decode_header(); `body` has its length. Fail with `malformed`:
// reserved bits, a window outside its range, an offset over its limit.
Result<Hello> decode_hello(ByteView body);
Result<Welcome> decode_welcome(ByteView body);
Result<Resume> decode_resume(const FrameHeader& header, ByteView body);
Result<Resumed> decode_resumed(const FrameHeader& header, ByteView body);

}  // namespace rap::resume
