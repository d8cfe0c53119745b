#include "fabric/resume/frame.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/little_endian.hpp"

namespace rap::resume {
namespace {

// What the header of each type may say.
struct Rule {
  FrameType type;
  Phase phase;
  std::uint32_t length;  // exactly; of DATA at most
  std::uint64_t value_min;
  std::uint64_t value_max;
};

constexpr std::uint64_t kAny = ~std::uint64_t{0};

constexpr std::array<Rule, 11> kRules = {{
    {FrameType::hello, Phase::opening, kHelloBytes, 0, 0},
    {FrameType::welcome, Phase::answering, kWelcomeBytes, 0, 0},
    {FrameType::resume, Phase::opening, kResumeBytes, 1, kAny},
    {FrameType::resumed, Phase::answering, kResumedBytes, 1, kAny},
    {FrameType::refused, Phase::answering, 0, 1, 5},
    {FrameType::data, Phase::streaming, kDataBytesMax, 0, kOffsetMax - kDataBytesMax},
    {FrameType::ack, Phase::streaming, 0, 0, kOffsetMax},
    {FrameType::end, Phase::streaming, 0, 0, kOffsetMax - 1},
    {FrameType::close, Phase::streaming, 0, 1, 3},
    {FrameType::ping, Phase::streaming, 0, 0, kAny},
    {FrameType::pong, Phase::streaming, 0, 0, kAny},
}};

const Rule* rule_of(std::uint8_t type) {
  for (const Rule& rule : kRules) {
    if (static_cast<std::uint8_t>(rule.type) == type) return &rule;
  }
  return nullptr;
}

Bytes make(FrameType type, std::uint32_t length, std::uint64_t value) {
  Bytes out(kHeaderBytes + length);
  encode_header({type, length, value}, std::span(out).first<kHeaderBytes>());
  return out;
}

template <std::size_t N>
void copy(const std::uint8_t* from, std::array<std::uint8_t, N>& to) {
  std::copy_n(from, N, to.begin());
}

Status check_window(std::uint32_t window, std::uint32_t reserved) {
  if (reserved != 0) return fail(Errc::malformed, "a reserved field is not zero");
  if (window < kWindowMin || window > kWindowMax) {
    return fail(Errc::malformed, "a window of " + std::to_string(window) + " bytes");
  }
  return {};
}

}  // namespace

void encode_header(const FrameHeader& header, std::span<std::uint8_t, kHeaderBytes> out) {
  out[0] = static_cast<std::uint8_t>(header.type);
  out[1] = kVersion;
  put_little_endian<std::uint16_t>(&out[2], 0);
  put_little_endian<std::uint32_t>(&out[4], header.length);
  put_little_endian<std::uint64_t>(&out[8], header.value);
}

Result<FrameHeader> decode_header(std::span<const std::uint8_t, kHeaderBytes> in, Phase phase) {
  if (in[1] != kVersion) {
    return fail(Errc::unsupported, "version " + std::to_string(in[1]) + " of the resume format");
  }
  const Rule* rule = rule_of(in[0]);
  if (rule == nullptr) return fail(Errc::malformed, "unknown frame " + std::to_string(in[0]));
  if (rule->phase != phase) {
    return fail(Errc::malformed, "frame " + std::to_string(in[0]) + " at the wrong time");
  }
  if (get_little_endian<std::uint16_t>(&in[2]) != 0) {
    return fail(Errc::malformed, "a reserved field is not zero");
  }
  FrameHeader header{rule->type, get_little_endian<std::uint32_t>(&in[4]),
                     get_little_endian<std::uint64_t>(&in[8])};
  const bool length_fits = rule->type == FrameType::data
                               ? header.length >= 1 && header.length <= rule->length
                               : header.length == rule->length;
  if (!length_fits) {
    return fail(Errc::too_large, "frame " + std::to_string(in[0]) + " with " +
                                     std::to_string(header.length) + " bytes");
  }
  if (header.value < rule->value_min || header.value > rule->value_max) {
    return fail(Errc::malformed, "frame " + std::to_string(in[0]) + " with the value " +
                                     std::to_string(header.value));
  }
  return header;
}

Bytes encode(const Hello& frame) {
  Bytes out = make(FrameType::hello, kHelloBytes, 0);
  std::uint8_t* at = out.data() + kHeaderBytes;
  std::copy(frame.random.begin(), frame.random.end(), at);
  put_little_endian<std::uint32_t>(at + 32, frame.window);
  return out;
}

Bytes encode(const Welcome& frame) {
  Bytes out = make(FrameType::welcome, kWelcomeBytes, 0);
  std::uint8_t* at = out.data() + kHeaderBytes;
  std::copy(frame.id.begin(), frame.id.end(), at);
  std::copy(frame.random.begin(), frame.random.end(), at + 16);
  put_little_endian<std::uint32_t>(at + 48, frame.window);
  return out;
}

Bytes encode(const Resume& frame) {
  Bytes out = make(FrameType::resume, kResumeBytes, frame.epoch);
  std::uint8_t* at = out.data() + kHeaderBytes;
  std::copy(frame.id.begin(), frame.id.end(), at);
  put_little_endian<std::uint64_t>(at + 16, frame.next);
  std::copy(frame.proof.begin(), frame.proof.end(), at + 24);
  return out;
}

Bytes encode(const Resumed& frame) {
  Bytes out = make(FrameType::resumed, kResumedBytes, frame.epoch);
  std::uint8_t* at = out.data() + kHeaderBytes;
  put_little_endian<std::uint64_t>(at, frame.next);
  std::copy(frame.proof.begin(), frame.proof.end(), at + 8);
  return out;
}

Bytes encode(Refusal reason) {
  return make(FrameType::refused, 0, static_cast<std::uint8_t>(reason));
}

Result<Hello> decode_hello(ByteView body) {
  assert(body.size() == kHelloBytes);
  Hello out;
  copy(body.data(), out.random);
  out.window = get_little_endian<std::uint32_t>(&body[32]);
  if (auto ok = check_window(out.window, get_little_endian<std::uint32_t>(&body[36])); !ok) {
    return fail(ok.error());
  }
  return out;
}

Result<Welcome> decode_welcome(ByteView body) {
  assert(body.size() == kWelcomeBytes);
  Welcome out;
  copy(body.data(), out.id);
  copy(&body[16], out.random);
  out.window = get_little_endian<std::uint32_t>(&body[48]);
  if (auto ok = check_window(out.window, get_little_endian<std::uint32_t>(&body[52])); !ok) {
    return fail(ok.error());
  }
  return out;
}

Result<Resume> decode_resume(const FrameHeader& header, ByteView body) {
  assert(body.size() == kResumeBytes);
  Resume out;
  out.epoch = header.value;
  copy(body.data(), out.id);
  out.next = get_little_endian<std::uint64_t>(&body[16]);
  copy(&body[24], out.proof);
  if (out.next > kOffsetMax) return fail(Errc::malformed, "an offset beyond 2^63");
  return out;
}

Result<Resumed> decode_resumed(const FrameHeader& header, ByteView body) {
  assert(body.size() == kResumedBytes);
  Resumed out;
  out.epoch = header.value;
  out.next = get_little_endian<std::uint64_t>(body.data());
  copy(&body[8], out.proof);
  if (out.next > kOffsetMax) return fail(Errc::malformed, "an offset beyond 2^63");
  return out;
}

}  // namespace rap::resume
