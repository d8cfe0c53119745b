// What a hostile other end of a resumable stream sends. The first byte picks the phase; while
// streaming its other bits pick the size of the reads, and the engine answers as it would.
#include <algorithm>

#include "fabric/resume/engine.hpp"

namespace {

using namespace rap::resume;

void opening(rap::ByteView bytes, Phase phase) {
  if (bytes.size() < kHeaderBytes) return;
  const auto header = decode_header(bytes.first<kHeaderBytes>(), phase);
  if (!header) return;
  bytes = bytes.subspan(kHeaderBytes);
  if (bytes.size() < header->length) return;
  const auto body = bytes.first(header->length);
  switch (header->type) {
    case FrameType::hello:
      if (auto frame = decode_hello(body)) (void)encode(*frame);
      break;
    case FrameType::welcome:
      if (auto frame = decode_welcome(body)) (void)encode(*frame);
      break;
    case FrameType::resume:
      if (auto frame = decode_resume(*header, body)) (void)encode(*frame);
      break;
    case FrameType::resumed:
      if (auto frame = decode_resumed(*header, body)) (void)encode(*frame);
      break;
    default:
      break;
  }
}

void streaming(rap::ByteView bytes, std::size_t step) {
  ResumeLimits limits;
  limits.window = kWindowMin;
  TimePoint now{std::chrono::hours(1)};
  Engine engine(limits, kWindowMin, now);
  rap::Bytes into(step);
  engine.write(rap::Bytes(step * 3), now);
  while (!bytes.empty()) {
    now += std::chrono::milliseconds(step);
    if (engine.data_left() > 0) {
      const std::size_t n = std::min({bytes.size(), engine.data_left(), step});
      engine.data(bytes.first(n), into, now);
      bytes = bytes.subspan(n);
    } else {
      if (bytes.size() < kHeaderBytes) return;
      const auto header = decode_header(bytes.first<kHeaderBytes>(), Phase::streaming);
      if (!header || !engine.frame(*header, now)) return;
      bytes = bytes.subspan(kHeaderBytes);
      if (header->type == FrameType::ping && header->value == 1) engine.end(now);
      if (header->type == FrameType::pong && engine.data_left() == 0) {
        engine.detach();
        if (!engine.attach(header->value, now)) return;
      }
    }
    if (!engine.on_time(now)) return;
    if (!engine.output(now).empty()) engine.written();
    if (step % 3 == 0) engine.read(into, now);
    if (engine.memory() > 4 * 64 * 1024 + 4 * kWindowMin) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const rap::ByteView rest(data + 1, size - 1);
  switch (data[0] & 3) {
    case 0:
      opening(rest, Phase::opening);
      break;
    case 1:
      opening(rest, Phase::answering);
      break;
    default:
      streaming(rest, 1 + (data[0] >> 2));
      break;
  }
  return 0;
}
