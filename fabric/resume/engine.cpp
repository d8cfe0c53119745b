#include "fabric/resume/engine.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace rap::resume {
namespace {

// Bytes that are not at the start of their block are copied behind their header, in pieces of one
// TLS record.
constexpr std::size_t kCopyBytesMax = 16 * 1024;
// Kept between frames; what a burst needed more is given back.
constexpr std::size_t kScratchKept = 512;
// Says to a sender whose data nobody takes that they move.
constexpr milliseconds kAckAnyway{1'000};

struct Prefix {
  std::array<std::uint8_t, BlockQueue::kHeadroom> bytes;
  std::size_t size = 0;

  void add(FrameType type, std::uint32_t length, std::uint64_t value) {
    encode_header({type, length, value}, std::span(bytes).subspan(size).first<kHeaderBytes>());
    size += kHeaderBytes;
  }
};

}  // namespace

Engine::Engine(const ResumeLimits& limits, std::uint32_t peer_window, TimePoint now)
    : limits_(limits),
      out_window_(std::min(limits.window, peer_window)),
      ack_last_(now),
      quiet_since_(now) {}

std::size_t Engine::room() const {
  const std::size_t kept = unacknowledged();
  return kept < out_window_ ? out_window_ - kept : 0;
}

std::size_t Engine::write(ByteView bytes, TimePoint now) {
  assert(!end_wanted_);
  const std::size_t n = std::min(bytes.size(), room());
  if (n == 0) return 0;
  if (!outstanding()) quiet_since_ = std::max(quiet_since_, now);
  // A part of the last block that was sent already would make the rest of it be copied.
  const bool fresh = n >= BlockQueue::kSmallBytes && sent_ >= total();
  out_.append(bytes.first(n),
              fresh ? BlockQueue::Begin::in_new_block : BlockQueue::Begin::in_last_block);
  return n;
}

void Engine::end(TimePoint now) {
  if (end_wanted_) return;
  if (!outstanding()) quiet_since_ = std::max(quiet_since_, now);
  end_wanted_ = true;
}

std::size_t Engine::read(std::span<std::uint8_t> into, TimePoint now) {
  const std::size_t n = in_.take(into);
  if (n == 0) return 0;
  taken_ += n;
  took(now);
  return n;
}

void Engine::discard_input(TimePoint now) {
  discard_ = true;
  taken_ += in_.size();
  in_.clear();
  took(now);
}

void Engine::took(TimePoint now) {
  const std::uint64_t value = ack_value();
  if (value == ack_said_) return;
  if (value - ack_said_ >= limits_.window / 4 || in_ended()) ack_now_ = true;
  if (!ack_at_) ack_at_ = now + limits_.ack_delay;
}

void Engine::heard(TimePoint now) {
  quiet_since_ = now;
  asked_at_.reset();
  ping_now_ = false;
}

Status Engine::frame(const FrameHeader& header, TimePoint now) {
  assert(data_left_ == 0);
  heard(now);
  switch (header.type) {
    case FrameType::data:
      if (in_end_) return fail(Errc::malformed, "bytes after the end");
      if (header.value != received_) {
        return fail(Errc::malformed, "bytes of offset " + std::to_string(header.value) + " after " +
                                         std::to_string(received_));
      }
      if (in_.size() + header.length > limits_.window) {
        return fail(Errc::too_large, "more bytes than the window");
      }
      data_left_ = header.length;
      return {};
    case FrameType::end:
      if (in_end_ || header.value != received_) return fail(Errc::malformed, "a wrong end");
      in_end_ = received_;
      ++received_;
      took(now);
      return {};
    case FrameType::ack:
      return ack(header.value);
    case FrameType::close:
      closed_by_peer_ = static_cast<CloseReason>(header.value);
      return {};
    case FrameType::ping:
      pong_ = header.value;  // the newest is enough: many questions cost one answer
      return {};
    case FrameType::pong:
      return {};
    default:
      return fail(Errc::malformed, "a frame at the wrong time");
  }
}

std::size_t Engine::data(ByteView bytes, std::span<std::uint8_t> reader, TimePoint now) {
  assert(bytes.size() <= data_left_);
  quiet_since_ = now;
  asked_at_.reset();
  data_left_ -= bytes.size();
  received_ += bytes.size();
  if (discard_) {
    taken_ += bytes.size();
    took(now);
    return 0;
  }
  std::size_t direct = 0;
  if (in_.size() == 0 && !reader.empty()) {
    direct = std::min(bytes.size(), reader.size());
    std::memcpy(reader.data(), bytes.data(), direct);
    taken_ += direct;
    took(now);
  }
  in_.append(bytes.subspan(direct));
  if (now - ack_last_ >= kAckAnyway) ack_now_ = true;
  return direct;
}

Status Engine::ack(std::uint64_t value) {
  if (value < acked_ || value > sent_most_) {
    return fail(Errc::malformed, "an acknowledgement of " + std::to_string(value) + " between " +
                                     std::to_string(acked_) + " and " + std::to_string(sent_most_));
  }
  acked_ = value;
  drop_acknowledged();
  return {};
}

void Engine::drop_acknowledged() {
  std::uint64_t until = acked_bytes();
  // A peer may acknowledge what it has not received: the transport still reads it.
  if (pinned_) until = std::min(until, *pinned_);
  if (until <= dropped_) return;
  out_.drop(static_cast<std::size_t>(until - dropped_));
  dropped_ = until;
}

bool Engine::has_output(TimePoint now) const {
  if (closing_) return !close_sent_;
  return sent_ < total() || (end_wanted_ && sent_ == total()) || ack_now_ || pong_ || ping_now_ ||
         (ack_at_ && now >= *ack_at_);
}

ByteView Engine::output(TimePoint now) {
  assert(!pinned_);
  if (!has_output(now)) return {};
  Prefix prefix;
  BlockQueue::Piece piece;
  const std::uint64_t from = sent_;
  if (closing_) {
    prefix.add(FrameType::close, 0, static_cast<std::uint8_t>(*closing_));
    close_sent_ = true;
  } else {
    if (ack_now_ || ack_value() != ack_said_) {
      ack_said_ = ack_value();
      prefix.add(FrameType::ack, 0, ack_said_);
      ack_last_ = now;
    }
    ack_now_ = false;
    ack_at_.reset();
    if (pong_) prefix.add(FrameType::pong, 0, *pong_);
    pong_.reset();
    if (ping_now_) prefix.add(FrameType::ping, 0, 0);
    ping_now_ = false;
    if (sent_ < total()) {
      piece = out_.piece(static_cast<std::size_t>(sent_ - dropped_));
      if (piece.head == nullptr && piece.bytes.size() > kCopyBytesMax) {
        piece.bytes = piece.bytes.first(kCopyBytesMax);
      }
      prefix.add(FrameType::data, static_cast<std::uint32_t>(piece.bytes.size()), sent_);
      sent_ += piece.bytes.size();
    } else if (end_wanted_ && sent_ == total()) {
      prefix.add(FrameType::end, 0, sent_);
      ++sent_;
    }
  }
  if (from < sent_most_) resent_ += std::min(sent_, sent_most_) - from;
  sent_most_ = std::max(sent_most_, sent_);
  pinned_ = from;
  if (piece.head != nullptr) {
    std::uint8_t* begin = piece.head + BlockQueue::kHeadroom - prefix.size;
    std::memcpy(begin, prefix.bytes.data(), prefix.size);
    return {begin, prefix.size + piece.bytes.size()};
  }
  scratch_.assign(prefix.bytes.begin(), prefix.bytes.begin() + prefix.size);
  scratch_.insert(scratch_.end(), piece.bytes.begin(), piece.bytes.end());
  return scratch_;
}

void Engine::written() {
  pinned_.reset();
  drop_acknowledged();
  if (scratch_.capacity() > kScratchKept && sent_ >= total()) Bytes().swap(scratch_);
}

bool Engine::finished() const {
  return end_wanted_ && acked_ == total() + 1 && in_end_ && ack_said_ == *in_end_ + 1;
}

Status Engine::attach(std::uint64_t peer_next, TimePoint now) {
  assert(!pinned_);
  if (peer_next < acked_ || peer_next > sent_most_) {
    return fail(Errc::malformed, "the other end wants to go on at " + std::to_string(peer_next) +
                                     ", not between " + std::to_string(acked_) + " and " +
                                     std::to_string(sent_most_));
  }
  sent_ = peer_next;
  ack_now_ = true;  // the last one may be lost
  heard(now);
  return {};
}

void Engine::detach() {
  pinned_.reset();
  drop_acknowledged();
  data_left_ = 0;
  pong_.reset();
  asked_at_.reset();
  ping_now_ = false;
}

TimePoint Engine::deadline() const {
  TimePoint out = asked_at_
                      ? *asked_at_ + limits_.probe_timeout
                      : quiet_since_ + (outstanding() ? limits_.probe_busy : limits_.probe_idle);
  if (ack_at_ && !ack_now_) out = std::min(out, *ack_at_);
  return out;
}

bool Engine::on_time(TimePoint now) {
  if (ack_at_ && now >= *ack_at_) ack_now_ = true;
  if (asked_at_) return now < *asked_at_ + limits_.probe_timeout;
  if (now >= quiet_since_ + (outstanding() ? limits_.probe_busy : limits_.probe_idle)) {
    asked_at_ = now;
    ping_now_ = true;
  }
  return true;
}

void Engine::forget_output() {
  pinned_.reset();
  dropped_ = total();
  out_.clear();
  Bytes().swap(scratch_);
}

}  // namespace rap::resume
